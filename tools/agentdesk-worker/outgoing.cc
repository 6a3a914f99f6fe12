#include "tools/agentdesk-worker/outgoing.h"

#include <utility>

namespace agentdesk::worker {
namespace {

constexpr size_t kMaxActivitiesInReport = 100;
constexpr size_t kMaxReportBytes = 1 << 20;
// What a delivery costs beyond its text, so that a flood of empty messages is bounded too.
constexpr size_t kOverhead = 128;

struct Bytes {
  size_t operator()(const Checkpoint& checkpoint) const { return checkpoint.state_json.size(); }
  size_t operator()(const Ask& ask) const { return ask.request.ByteSizeLong(); }
  size_t operator()(const TakeBack& take_back) const { return take_back.key.size(); }
  template <typename Message>
  size_t operator()(const Message& message) const {
    return message.ByteSizeLong();
  }
};

bool GoesInReport(const Delivery& delivery) {
  return std::holds_alternative<v1::Activity>(delivery) ||
         std::holds_alternative<Checkpoint>(delivery);
}

}  // namespace

bool IsLast(const Delivery& delivery) {
  return std::holds_alternative<v1::ReleaseJobRequest>(delivery) ||
         std::holds_alternative<v1::CompleteJobRequest>(delivery) ||
         std::holds_alternative<v1::FailJobRequest>(delivery);
}

void Outgoing::Push(Delivery delivery) {
  const size_t bytes = std::visit(Bytes(), delivery) + kOverhead;
  bytes_ += bytes;
  deliveries_.push_back({std::move(delivery), bytes});
}

std::vector<Delivery> Outgoing::Take() {
  std::vector<Delivery> batch;
  under_way_ = 0;
  size_t most = kMaxActivitiesInReport;
  if (alone_ > 0) {
    --alone_;
    most = 1;
  }
  while (!deliveries_.empty() && batch.size() < most) {
    Entry& next = deliveries_.front();
    if (!batch.empty() &&
        (!GoesInReport(next.delivery) || under_way_ + next.bytes > kMaxReportBytes)) {
      break;
    }
    if (!GoesInReport(next.delivery)) most = 1;
    under_way_ += next.bytes;
    batch.push_back(std::move(next.delivery));
    deliveries_.pop_front();
  }
  return batch;
}

void Outgoing::ComeAgainAlone(std::vector<Delivery> batch) {
  alone_ = batch.size();
  for (auto it = batch.rbegin(); it != batch.rend(); ++it) {
    const size_t bytes = std::visit(Bytes(), *it) + kOverhead;
    deliveries_.push_front({std::move(*it), bytes});
  }
}

void Outgoing::Clear() {
  for (const Entry& entry : deliveries_) bytes_ -= entry.bytes;
  deliveries_.clear();
  alone_ = 0;
}

}  // namespace agentdesk::worker
