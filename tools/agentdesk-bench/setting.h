#ifndef AGENTDESK_TOOLS_AGENTDESK_BENCH_SETTING_H_
#define AGENTDESK_TOOLS_AGENTDESK_BENCH_SETTING_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tools/agentdesk-bench/program.h"

namespace agentdesk::bench {

// What the flags say about all measurements.
struct Options {
  std::string dir;                  // where data directories are made
  int repeats = 5;                  // of each measurement, floor and product in turn
  double seconds = 2;               // that one measurement takes
  int clients = 1000;               // browsers
  int many_clients = 10000;         // of the measurements with many
  int in_flight = 64;               // calls, or creators, at a time
  int rpc_connections = 1;          // that these calls share
  int connecting = 500;             // handshakes under way at a time
  int rate = 200;                   // tickets a second, where a rate is given
  int64_t events = 1'000'000;       // that are replayed
  int64_t log_events = 10'000'000;  // of the grown log
  int storm_clients = 8000;         // that drop and come back
  int missed_events = 1000;         // by each of them
  int storm_rate = 2;               // tickets a second meanwhile
  double soak_seconds = 3600;
  int half_open = 5000;     // handshakes that somebody begins and does not end
  int gateway_threads = 0;  // 0: as many as it has out of the box
};

// The core alone, on a fresh directory of its own.
class CoreSetting {
 public:
  explicit CoreSetting(const Options& options);

  Program& core() { return *core_; }
  const std::string& directory() const { return directory_.path(); }
  size_t data_bytes() const { return directory_.bytes(); }
  // Starts it again on the same data, after a stop in order or after a kill. Returns the seconds
  // until it listens again.
  double Restart(bool in_order);

 private:
  void Start();

  DataDirectory directory_;
  std::unique_ptr<Program> core_;
};

// The core and a gateway before it, which may speak TLS.
class DeskSetting {
 public:
  // Of the gateway: those that it has out of the box, or none, so that one client may do what else
  // many do.
  enum class Limits { kDefault, kNone };
  explicit DeskSetting(const Options& options, Limits limits = Limits::kNone, bool tls = false);

  Program& core() { return core_.core(); }
  Program& gateway() { return *gateway_; }
  const std::string& directory() const { return core_.directory(); }
  double cpu_seconds() { return core().cpu_seconds() + gateway().cpu_seconds(); }

 private:
  CoreSetting core_;
  std::unique_ptr<Program> gateway_;
};

// One of the floors, on a fresh directory of its own.
class FloorSetting {
 public:
  FloorSetting(const Options& options, const std::string& name,
               std::vector<std::string> flags = {});
  Program& program() { return *program_; }

 private:
  DataDirectory directory_;
  std::unique_ptr<Program> program_;
};

// The frame floor before the gRPC floor with the core's tables: it has a ticket made durable there
// before it writes it.
class BothFloorsSetting {
 public:
  explicit BothFloorsSetting(const Options& options);

  uint16_t port() { return frames_.program().port(); }
  double cpu_seconds() { return tables_.program().cpu_seconds() + frames_.program().cpu_seconds(); }

 private:
  FloorSetting tables_;
  FloorSetting frames_;
};

}  // namespace agentdesk::bench

#endif  // AGENTDESK_TOOLS_AGENTDESK_BENCH_SETTING_H_
