#include <algorithm>
#include <utility>

#include "core_service/store/store.h"

namespace agentdesk::store {
namespace {

constexpr int kRowsAtOnce = 200;

// Appends all rows of a list, page by page.
template <typename Row, typename List>
absl::Status AddAll(List list, google::protobuf::RepeatedPtrField<Row>& rows) {
  PageRequest request;
  request.size = kRowsAtOnce;
  do {
    absl::StatusOr<Page<Row>> page = list(request);
    if (!page.ok()) return page.status();
    for (Row& row : page->rows) *rows.Add() = std::move(row);
    request.after = std::move(page->next);
  } while (!request.after.empty());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TicketCheckpoint> ReadTicketState(View& view, const TicketRecord& ticket) {
  TicketCheckpoint state;
  *state.mutable_ticket() = ticket;
  absl::Status status = AddAll<JobRecord>(
      [&](const PageRequest& page) {
        return view.ListJobs(ticket.ticket().session_id(), v1::JOB_STATUS_UNSPECIFIED, page);
      },
      *state.mutable_jobs());
  if (!status.ok()) return status;
  status = AddAll<QuestionRecord>(
      [&](const PageRequest& page) {
        return view.ListQuestions(v1::QUESTION_STATE_UNSPECIFIED, ticket.ticket().session_id(),
                                  page);
      },
      *state.mutable_questions());
  if (!status.ok()) return status;
  // Lists have the newest job first, and questions by their deadlines.
  std::reverse(state.mutable_jobs()->begin(), state.mutable_jobs()->end());
  std::sort(state.mutable_questions()->begin(), state.mutable_questions()->end(),
            [](const QuestionRecord& a, const QuestionRecord& b) {
              return a.question().asked_sequence() < b.question().asked_sequence();
            });
  return state;
}

}  // namespace agentdesk::store
