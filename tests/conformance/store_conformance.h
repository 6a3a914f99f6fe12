#ifndef AGENTDESK_TESTS_CONFORMANCE_STORE_CONFORMANCE_H_
#define AGENTDESK_TESTS_CONFORMANCE_STORE_CONFORMANCE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core_service/base/clock.h"
#include "core_service/base/uuid.h"
#include "core_service/store/store.h"
#include "gtest/gtest.h"

namespace agentdesk::testing {

// A place of its own where one store is kept, removed when this is destroyed.
class StoreHome {
 public:
  virtual ~StoreHome() = default;
  // Opens the store; what was committed before is there. The store opened before must be gone.
  virtual absl::StatusOr<std::unique_ptr<store::Store>> Open(Clock& clock, IdSource& ids) = 0;
  // How many views may be open at once.
  virtual int max_views() const = 0;
};

struct StoreKind {
  std::string name;
  std::function<std::unique_ptr<StoreHome>()> make_home;
};

// What every Store must do. A kind of store is tested by linking store_conformance.cc and
//
//   INSTANTIATE_TEST_SUITE_P(Sqlite, StoreConformance, ::testing::Values(kind), KindName);
class StoreConformance : public ::testing::TestWithParam<StoreKind> {
 protected:
  void SetUp() override;
  // Closes the store and opens it again.
  void Reopen();

  store::Store& store() { return *store_; }
  int max_views() const { return home_->max_views(); }
  std::unique_ptr<store::Transaction> Begin();
  std::unique_ptr<store::View> OpenView();
  // Commits; the test fails when that does.
  void Commit(std::unique_ptr<store::Transaction> transaction);
  // Puts a ticket and its job and appends `ticket_created`.
  void PutNew(store::Transaction& transaction, record::v1::TicketRecord& ticket,
              const record::v1::JobRecord& job);

  std::unique_ptr<IdSource> ids_;

 private:
  std::unique_ptr<StoreHome> home_;
  std::unique_ptr<store::Store> store_;
};

inline std::string KindName(const ::testing::TestParamInfo<StoreKind>& info) {
  return info.param.name;
}

}  // namespace agentdesk::testing

#endif  // AGENTDESK_TESTS_CONFORMANCE_STORE_CONFORMANCE_H_
