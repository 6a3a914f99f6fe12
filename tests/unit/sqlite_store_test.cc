#include "core_service/store/sqlite_store.h"

#include <utility>

#include "tests/conformance/store_conformance.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace agentdesk::testing {
namespace {

class SqliteHome final : public StoreHome {
 public:
  absl::StatusOr<std::unique_ptr<store::Store>> Open(Clock& clock, IdSource& ids) override {
    return store::OpenSqliteStore({.data_dir = dir_.path(), .readers = 3, .vfs = {}}, clock, ids);
  }
  int max_views() const override { return 3; }

 private:
  TempDir dir_;
};

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreConformance,
                         ::testing::Values(StoreKind{
                             "Sqlite", [] { return std::make_unique<SqliteHome>(); }}),
                         KindName);

}  // namespace
}  // namespace agentdesk::testing
