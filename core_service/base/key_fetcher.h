#ifndef AGENTDESK_CORE_SERVICE_BASE_KEY_FETCHER_H_
#define AGENTDESK_CORE_SERVICE_BASE_KEY_FETCHER_H_

#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core_service/base/clock.h"
#include "core_service/base/key_set.h"
#include "core_service/base/mutex.h"

namespace agentdesk {

// Where an issuer publishes its keys, as a JWK Set (RFC 7517).
struct KeyUrl {
  std::string url;
  std::string ca_file = {};  // authorities of its certificate in PEM; empty: those of the system
  absl::Duration refresh = absl::Minutes(5);  // how long keys are taken for the latest
};

// InvalidArgument unless `url` begins with https://, or with http:// and names this machine, and
// holds no name, password or fragment.
absl::Status CheckKeyUrl(const std::string& url);

// Fetches the keys of an issuer, again and again, on a thread of its own: nobody else ever waits
// for the network. What cannot be fetched, or holds no usable key, leaves the keys as they are and
// is logged. Thread-safe.
class KeyFetcher {
 public:
  // Between the ends of two fetches at least, also where somebody asks for one.
  static constexpr absl::Duration kMinInterval = absl::Seconds(10);
  // One fetch, from the name of the host to the last byte.
  static constexpr absl::Duration kTimeout = absl::Seconds(10);

  // Told of keys that differ from those before, on the fetcher's thread.
  using OnKeys = absl::AnyInvocable<void(std::shared_ptr<const KeySet>)>;

  // Begins with a fetch. `issuer` is what the log calls it: a URL may hold more than a log should.
  // `clock` must outlive it.
  KeyFetcher(KeyUrl where, std::string issuer, Clock& clock, OnKeys on_keys);
  // Breaks off a fetch that is under way.
  ~KeyFetcher();
  KeyFetcher(const KeyFetcher&) = delete;
  KeyFetcher& operator=(const KeyFetcher&) = delete;

  // There is a key that is not known here: fetches as soon as kMinInterval allows. Does not block.
  void Ask() ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits for the end of the first fetch until `deadline` on the monotonic clock. OK when there are
  // keys, else why not.
  absl::Status AwaitFirst(absl::Duration deadline) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Run();
  absl::Status FetchOnce();
  // The answer's body. Unavailable says what failed.
  absl::StatusOr<std::string> Get();
  bool stopping() ABSL_LOCKS_EXCLUDED(mutex_);

  const KeyUrl where_;
  const std::string issuer_;
  Clock& clock_;

  // The thread's alone.
  OnKeys on_keys_;
  std::string last_text_;  // the last answer that was of use
  bool failing_ = false;   // told once, until it is well again

  Mutex mutex_;
  Condition changed_;
  std::optional<absl::Status> first_ ABSL_GUARDED_BY(mutex_);  // how the first fetch ended
  bool asked_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_KEY_FETCHER_H_
