#include <cstdio>
#include <limits>
#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/clock.h"
#include "core_service/base/timestamp.h"
#include "core_service/base/uuid.h"
#include "core_service/client/rpc_status.h"
#include "core_service/offline/check.h"
#include "core_service/offline/restore.h"
#include "tools/agentdesk/backup_file.h"
#include "tools/agentdesk/commands.h"
#include "tools/event_json.h"
#include "tools/json_line.h"

namespace agentdesk::cli {
namespace {

using Admin = v1::AdminService::Stub;
using Events = v1::EventService::Stub;

constexpr int kEventsAtOnce = 1000;

void Print(absl::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

// Takes the parts of a backup up to its end. Anything but a whole backup is an error.
absl::Status Receive(grpc::ClientReader<v1::BackupResponse>& parts, BackupFile& file,
                     v1::BackupBegin& begin, v1::BackupEnd& end) {
  v1::BackupResponse response;
  while (parts.Read(&response)) {
    if (response.has_begin()) begin = response.begin();
    if (response.has_end()) end = response.end();
    if (absl::Status status = file.Append(response.data()); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status RunBackup(const Invocation& invocation, DeskConnection& desk, Output output) {
  const std::string& path = invocation.arguments[0];
  const absl::StatusOr<std::unique_ptr<BackupFile>> file = BackupFile::Create(path);
  if (!file.ok()) return file.status();
  grpc::ClientContext context;
  desk.PrepareStream(context);
  const auto parts = desk.admin().Backup(&context, v1::BackupRequest());
  v1::BackupBegin begin;
  v1::BackupEnd end;
  absl::Status status = Receive(*parts, **file, begin, end);
  if (!status.ok()) {
    context.TryCancel();
    parts->Finish();
    return status;
  }
  if (status = client::FromRpc(parts->Finish()); !status.ok()) return status;
  if (status = (*file)->Commit(end.size(), end.sha256()); !status.ok()) return status;
  const std::string sha256 = absl::BytesToHexString(end.sha256());
  if (output.json) {
    Print(absl::StrCat(tools::JsonLine()
                           .Add("file", path)
                           .Add("desk_id", begin.desk_id())
                           .Add("sequence", begin.sequence())
                           .Add("size", end.size())
                           .Add("sha256", sha256)
                           .Text(),
                       "\n"));
  } else {
    Print(absl::StrCat(path, ": desk ", begin.desk_id(), " as of event ", begin.sequence(), ", ",
                       end.size(), " bytes, SHA-256 ", sha256, "\n"));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::CompactRequest> ReadCompact(const Invocation& invocation) {
  v1::CompactRequest request;
  if (invocation.Has("keep_events") == invocation.Has("keep_age")) {
    return UsageError("give one of --keep_events and --keep_age");
  }
  if (invocation.Has("keep_events")) {
    const auto count =
        NumberFlag(invocation, "keep_events", 0, std::numeric_limits<int64_t>::max(), 0);
    if (!count.ok()) return count.status();
    request.set_keep_events(*count);
    return request;
  }
  absl::Duration age;
  const std::string text = invocation.Get("keep_age");
  if (!absl::ParseDuration(text, &age) || age < absl::ZeroDuration() ||
      age == absl::InfiniteDuration()) {
    return UsageError(absl::StrCat("--keep_age=", text, ": must be a time such as 72h or 90m"));
  }
  *request.mutable_keep_age() = ToProto(age);
  return request;
}

absl::Status RunCompact(const Invocation& invocation, DeskConnection& desk, Output output) {
  const absl::StatusOr<v1::CompactRequest> request = ReadCompact(invocation);
  if (!request.ok()) return request.status();
  const auto done = desk.Read(desk.admin(), &Admin::Compact, *request);
  if (!done.ok()) return done.status();
  if (output.json) {
    Print(absl::StrCat(tools::JsonLine()
                           .Add("desk_id", done->desk_id())
                           .Add("oldest_sequence", done->oldest_sequence())
                           .Add("head_sequence", done->head_sequence())
                           .Add("compacted", done->compacted())
                           .Text(),
                       "\n"));
  } else {
    Print(absl::StrCat("events ", done->oldest_sequence(), " to ", done->head_sequence(),
                       " can be subscribed to, ", done->compacted(), " fewer than before\n"));
  }
  return absl::OkStatus();
}

absl::Status RunExport(const Invocation& invocation, DeskConnection& desk) {
  v1::ListEventsRequest request;
  request.set_page_size(kEventsAtOnce);
  const auto after = NumberFlag(invocation, "after", 0, std::numeric_limits<int64_t>::max(), 0);
  if (!after.ok()) return after.status();
  request.set_after_sequence(*after);
  request.set_desk_id(invocation.Get("desk"));
  while (true) {
    const auto page = desk.Read(desk.events(), &Events::ListEvents, request);
    if (!page.ok()) return page.status();
    for (const v1::Event& event : page->events()) Print(tools::ToJson(event) + "\n");
    if (std::ferror(stdout) != 0) return absl::DataLossError("standard output cannot be written");
    if (page->next_page_token().empty()) return absl::OkStatus();
    request.set_page_token(page->next_page_token());
  }
}

void PrintReport(const offline::CheckReport& report, absl::string_view what, Output output) {
  if (output.json) {
    tools::JsonLine line;
    line.Add("desk_id", report.desk_id)
        .Add("checked_from", report.checked_from)
        .Add("head_sequence", report.head)
        .Add("oldest_sequence", report.oldest)
        .Add("checkpoint_sequence", report.checkpoint)
        .Add("tickets", report.tickets);
    if (!report.origin.restored_from.empty()) {
      line.Add("restored_from", report.origin.restored_from)
          .Add("restored_sequence", report.origin.restored_sequence);
    }
    return Print(absl::StrCat(line.Text(), "\n"));
  }
  Print(absl::StrCat(what, ": desk ", report.desk_id, ", events ", report.checked_from, " to ",
                     report.head, " and the state of ", report.tickets, " tickets are sound\n"));
  if (!report.origin.restored_from.empty()) {
    Print(absl::StrCat("restored from desk ", report.origin.restored_from, " as of event ",
                       report.origin.restored_sequence, "\n"));
  }
}

absl::Status RunCheck(const Invocation& invocation, Output output) {
  const std::string& path = invocation.arguments[0];
  const absl::StatusOr<offline::CheckReport> report =
      offline::CheckDesk(path, invocation.Has("since_checkpoint"));
  if (!report.ok()) return report.status();
  PrintReport(*report, path, output);
  return absl::OkStatus();
}

absl::Status RunRestore(const Invocation& invocation, Output output) {
  const std::string& data_dir = invocation.arguments[1];
  const absl::StatusOr<offline::CheckReport> report =
      offline::RestoreDesk(invocation.arguments[0], data_dir, Clock::Real(), IdSource::Real());
  if (!report.ok()) return report.status();
  PrintReport(*report, data_dir, output);
  return absl::OkStatus();
}

}  // namespace

absl::Status RunAdminCommand(const Invocation& invocation, DeskConnection& desk, Output output) {
  const std::string& words = invocation.command->words;
  if (words == "admin backup") return RunBackup(invocation, desk, output);
  if (words == "admin compact") return RunCompact(invocation, desk, output);
  if (words == "admin export") return RunExport(invocation, desk);
  if (words == "admin check") return RunCheck(invocation, output);
  return RunRestore(invocation, output);
}

}  // namespace agentdesk::cli
