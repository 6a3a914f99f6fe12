#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/asio/executor_work_guard.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/signal_set.hpp"
#include "core_service/base/clock.h"
#include "core_service/base/error.h"
#include "core_service/client/event_stream.h"
#include "tools/agentdesk/commands.h"
#include "tools/event_json.h"
#include "tools/json_line.h"

namespace agentdesk::cli {
namespace {

namespace asio = boost::asio;
using client::EventStream;
using client::StreamStart;

// How long a watch that is to end waits for what it prints to be taken.
constexpr absl::Duration kLastWords = absl::Seconds(1);

template <typename Messages>
std::string JsonArray(const Messages& messages) {
  std::string array = "[";
  for (const auto& message : messages) {
    absl::StrAppend(&array, array.size() > 1 ? "," : "", tools::ToJson(message));
  }
  return absl::StrCat(array, "]");
}

// Prints what comes, on the completion thread: the stream waits for the terminal.
class Printer final : public EventStream::Consumer {
 public:
  // `token_may_be_fresh`: the token comes from a file, which may hold another when one has run out.
  Printer(Output output, StreamStart start, bool token_may_be_fresh, asio::io_context& io)
      : output_(output),
        token_may_be_fresh_(token_may_be_fresh),
        text_(output.Text()),
        io_(io),
        go_on_(std::move(start)) {}

  // The first batch waits for it.
  void Attach(EventStream& stream) {
    MutexLock lock(mutex_);
    stream_ = &stream;
    changed_.NotifyAll();
  }
  // Nothing more is printed. False: what was being printed is still not taken.
  bool Stop() {
    const absl::Duration until = Clock::Real().Monotonic() + kLastWords;
    MutexLock lock(mutex_);
    stopped_ = true;
    while (printing_ && Clock::Real().Monotonic() < until) {
      Clock::Real().WaitUntil(changed_, mutex_, until);
    }
    return !printing_;
  }
  // Why it ended by itself.
  absl::Status end() {
    MutexLock lock(mutex_);
    return end_;
  }

 private:
  void OnBatch(std::unique_ptr<v1::SubscribeResponse> batch) override {
    EventStream* stream = nullptr;
    {
      MutexLock lock(mutex_);
      while (stream_ == nullptr) changed_.Wait(mutex_);
      if (stopped_) return;
      printing_ = true;
      stream = stream_;
    }
    const absl::Status printed = Print(*batch) ? absl::OkStatus() : CannotPrint();
    {
      MutexLock lock(mutex_);
      printing_ = false;
      changed_.NotifyAll();
    }
    if (!printed.ok()) return End(printed);
    NoteWhereToGoOn(*batch);
    stream->Next();
  }

  void OnInterrupted(const absl::Status& status) override {
    if (!std::exchange(interrupted_, true)) {
      std::fprintf(stderr, "agentdesk: the stream broke (%s); coming back ...\n",
                   std::string(status.message()).c_str());
    }
  }

  std::optional<StreamStart> OnRefused(const absl::Status& status) override {
    if (DetailOf(status).reason == "token_expired" && token_may_be_fresh_ && began_) {
      OnInterrupted(status);
      return go_on_;
    }
    End(status);
    return std::nullopt;
  }

  void End(const absl::Status& why) {
    {
      MutexLock lock(mutex_);
      end_ = why;
    }
    asio::post(io_, [this] { io_.stop(); });
  }

  void NoteWhereToGoOn(const v1::SubscribeResponse& batch) {
    began_ = true;
    // Until the last part of a snapshot there is nothing to go on from.
    const bool whole = batch.has_snapshot() ? !batch.snapshot().more()
                                            : go_on_.kind != StreamStart::Kind::kSnapshot;
    if (!whole) return;
    go_on_.kind = StreamStart::Kind::kAfter;
    go_on_.after = {batch.desk_id(), batch.up_to_sequence()};
  }

  // False when it could not.
  bool Print(const v1::SubscribeResponse& batch) {
    if (std::exchange(interrupted_, false)) std::fprintf(stderr, "agentdesk: back again\n");
    if (!output_.json && !std::exchange(greeted_, true)) {
      std::fprintf(stderr, "following desk %s; Ctrl-C ends\n", batch.desk_id().c_str());
    }
    std::string out;
    if (batch.has_snapshot()) out = SnapshotText(batch);
    for (const v1::Event& event : batch.events()) {
      absl::StrAppend(&out, output_.json ? tools::ToJson(event) + "\n" : text_.Of(event));
    }
    return std::fwrite(out.data(), 1, out.size(), stdout) == out.size() && std::fflush(stdout) == 0;
  }

  std::string SnapshotText(const v1::SubscribeResponse& batch) {
    const v1::Snapshot& snapshot = batch.snapshot();
    if (output_.json) {
      return absl::StrCat(tools::JsonLine()
                              .Add("type", "snapshot")
                              .Add("up_to", batch.up_to_sequence())
                              .AddJson("tickets", JsonArray(snapshot.tickets()))
                              .AddJson("sessions", JsonArray(snapshot.sessions()))
                              .AddJson("questions", JsonArray(snapshot.questions()))
                              .Add("more", snapshot.more())
                              .Text(),
                          "\n");
    }
    std::string out;
    for (const v1::Ticket& ticket : snapshot.tickets()) absl::StrAppend(&out, text_.LineOf(ticket));
    for (const v1::Question& question : snapshot.questions()) {
      absl::StrAppend(&out, text_.Of(question));
    }
    if (!snapshot.more()) absl::StrAppend(&out, "-- as of ", batch.up_to_sequence(), " --\n");
    return out;
  }

  const Output output_;
  const bool token_may_be_fresh_;
  EventText text_;
  asio::io_context& io_;
  bool interrupted_ = false;
  bool greeted_ = false;
  bool began_ = false;
  StreamStart go_on_;  // where, when the stream has to begin anew

  Mutex mutex_;
  Condition changed_;
  EventStream* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool printing_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<client::EventStreamOptions> ReadOptions(const Invocation& invocation) {
  client::EventStreamOptions options;
  const int starts = (invocation.Has("after") ? 1 : 0) + (invocation.Has("live") ? 1 : 0) +
                     (invocation.Has("snapshot") ? 1 : 0);
  if (starts > 1) return UsageError("give one of --after, --live and --snapshot");
  options.start.kind = StreamStart::Kind::kLive;
  if (invocation.Has("snapshot")) options.start.kind = StreamStart::Kind::kSnapshot;
  if (invocation.Has("after")) {
    const auto after = NumberFlag(invocation, "after", 0, std::numeric_limits<int64_t>::max(), 0);
    if (!after.ok()) return after.status();
    if (*after > 0 && !invocation.Has("desk")) {
      return UsageError(
          "--after needs --desk: a sequence means nothing without its log (see "
          "`agentdesk desk`)");
    }
    options.start.kind = StreamStart::Kind::kAfter;
    options.start.after = {invocation.Get("desk"), *after};
  } else if (invocation.Has("desk")) {
    return UsageError("--desk goes with --after");
  }
  for (const std::string& ticket : invocation.All("ticket")) {
    options.filter.add_ticket_ids(ticket);
  }
  return options;
}

}  // namespace

absl::Status RunWatch(const Invocation& invocation, DeskConnection& desk, Output output) {
  absl::StatusOr<client::EventStreamOptions> options = ReadOptions(invocation);
  if (!options.ok()) return options.status();
  options->labels.token = desk.token();
  asio::io_context io(1);
  asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&](const boost::system::error_code&, int) { io.stop(); });
  Printer printer(output, options->start, desk.token() != nullptr, io);
  {
    client::CompletionThread completions;
    EventStream stream(
        client::MakeChannel(desk.target(), client::ChannelUse::kSubscription, desk.tls()),
        completions, *options, printer);
    printer.Attach(stream);
    io.run();
    signals.clear();  // the next one ends the process, whatever holds it up
    // The stream would wait for the print. Nothing is said: standard error may be the same pipe.
    if (!printer.Stop()) std::_Exit(1);
  }
  return printer.end();
}

}  // namespace agentdesk::cli
