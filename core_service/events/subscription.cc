#include "core_service/events/subscription.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"

namespace agentdesk::events {
namespace {

constexpr int kMaxFilterEntries = 100;

absl::Status CheckLength(absl::string_view field, int length) {
  if (length <= kMaxFilterEntries) return absl::OkStatus();
  return InvalidField(
      field, absl::StrCat("must have at most ", kMaxFilterEntries, " entries, has ", length));
}

absl::Status ReadIds(absl::string_view field,
                     const google::protobuf::RepeatedPtrField<std::string>& texts,
                     absl::flat_hash_set<Uuid>& ids,
                     google::protobuf::RepeatedPtrField<std::string>& normal) {
  if (absl::Status status = CheckLength(field, texts.size()); !status.ok()) return status;
  for (int i = 0; i < texts.size(); ++i) {
    const std::optional<Uuid> id = Uuid::Parse(texts[i]);
    if (!id.has_value()) return InvalidField(absl::StrCat(field, "[", i, "]"), "must be a UUID");
    ids.insert(*id);
    *normal.Add() = id->ToString();
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Filter> Filter::Create(const v1::EventFilter& filter) {
  Filter result;
  if (absl::Status status = ReadIds("filter.ticket_ids", filter.ticket_ids(), result.ticket_ids_,
                                    *result.proto_.mutable_ticket_ids());
      !status.ok()) {
    return status;
  }
  if (absl::Status status = ReadIds("filter.session_ids", filter.session_ids(), result.session_ids_,
                                    *result.proto_.mutable_session_ids());
      !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckLength("filter.types", filter.types_size()); !status.ok()) {
    return status;
  }
  for (int i = 0; i < filter.types_size(); ++i) {
    const int type = filter.types(i);
    if (type == v1::EVENT_TYPE_UNSPECIFIED || !v1::EventType_IsValid(type)) {
      return InvalidField(absl::StrCat("filter.types[", i, "]"), "is not a known event type");
    }
    result.types_.insert(type);
    result.proto_.add_types(filter.types(i));
  }
  result.all_ = result.ticket_ids_.empty() && result.session_ids_.empty() && result.types_.empty();
  return result;
}

void Filter::HoldTo(std::string tenant) { tenant_ = std::move(tenant); }

bool Filter::Passes(const store::EventBlock::Entry& entry) const {
  if (tenant_.has_value() && entry.tenant != *tenant_) return false;
  if (all_) return true;
  return (ticket_ids_.empty() || ticket_ids_.contains(entry.ticket_id)) &&
         (session_ids_.empty() || session_ids_.contains(entry.session_id)) &&
         (types_.empty() || types_.contains(entry.type));
}

Subscription::Subscription(EventLog& log, Filter filter, int64_t after, Limits limits)
    : log_(log), filter_(std::move(filter)), limits_(limits), position_(after) {}

Subscription::Batch Subscription::Next(const std::shared_ptr<Waiter>& waiter) {
  EventLog::Read read = log_.ReadOrWait(position_, limits_.max_events, limits_.max_bytes, waiter);
  Batch batch;
  batch.found = read.found;
  if (batch.found == EventLog::Found::kCompacted && limits_.behind_oldest) {
    batch.found = EventLog::Found::kInStore;
  }
  batch.up_to = position_;
  if (batch.found != EventLog::Found::kEvents) return batch;

  int64_t events = 0;
  size_t bytes = 0;
  bool full = false;
  for (std::shared_ptr<const store::EventBlock>& block : read.blocks) {
    const auto& entries = block->entries();
    auto entry = std::partition_point(entries.begin(), entries.end(),
                                      [this](const auto& e) { return e.sequence <= position_; });
    // Neighbours that pass lie side by side in memory and travel as one piece.
    size_t run_begin = 0;
    size_t run_end = 0;
    for (; entry != entries.end(); ++entry) {
      if (filter_.Passes(*entry)) {
        if (events > 0 &&
            (events >= limits_.max_events || bytes + entry->size > limits_.max_bytes)) {
          full = true;
          break;
        }
        if (run_end != entry->offset || run_end == run_begin) {
          if (run_end > run_begin) {
            batch.pieces.push_back({block, block->bytes().substr(run_begin, run_end - run_begin)});
          }
          run_begin = entry->offset;
        }
        run_end = entry->offset + entry->size;
        ++events;
        bytes += entry->size;
      }
      position_ = entry->sequence;
    }
    if (run_end > run_begin) {
      batch.pieces.push_back({block, block->bytes().substr(run_begin, run_end - run_begin)});
    }
    if (full) break;
  }
  batch.up_to = position_;
  return batch;
}

absl::StatusOr<Subscription::Batch> Subscription::ReadStore(store::Store& store) {
  absl::StatusOr<std::unique_ptr<store::View>> view = store.OpenView();
  if (!view.ok()) return view.status();
  Batch batch;
  batch.up_to = position_;
  if (position_ + 1 < (*view)->oldest() && !limits_.behind_oldest) {
    batch.found = EventLog::Found::kCompacted;
    return batch;
  }
  store::EventQuery query;
  query.after = position_;
  query.filter = filter_.passes_all() ? nullptr : &filter_.proto();
  query.tenant = filter_.tenant();
  query.max_events = static_cast<int>(limits_.max_events);
  query.max_bytes = limits_.max_bytes;
  absl::StatusOr<store::EventRead> read = (*view)->ReadEvents(query);
  if (!read.ok()) return read.status();
  batch.found = EventLog::Found::kEvents;
  if (!read->bytes->empty()) batch.pieces.push_back({read->bytes, *read->bytes});
  // A query read to its end is complete up to the view's head, which is where the cursor goes on.
  position_ = std::max(position_, std::min(read->complete_up_to, (*view)->head()));
  batch.up_to = position_;
  return batch;
}

}  // namespace agentdesk::events
