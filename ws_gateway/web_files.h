#ifndef AGENTDESK_WS_GATEWAY_WEB_FILES_H_
#define AGENTDESK_WS_GATEWAY_WEB_FILES_H_

#include <cstddef>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace agentdesk::gateway {

// One file of the web page, ready to be sent.
struct WebFile {
  std::string content_type;
  std::string bytes;
  std::string etag;        // strong, quoted: of the content (RFC 9110 section 8.8.3)
  bool immutable = false;  // its name holds a hash of its content
};

// The files of the web page, read once: what is served is what was there when the gateway started,
// and no request can name anything else. Constant, so any thread may read it.
class WebFiles {
 public:
  // None: the gateway shows the page that is built in.
  WebFiles() = default;
  // Reads everything below `root`, which must hold index.html. Errors name what is wrong:
  // FailedPrecondition where there is no such folder or page, or it is no web page by its size
  // (500 files, 32 MiB in all).
  static absl::StatusOr<WebFiles> Read(const std::string& root);

  bool empty() const { return files_.empty(); }
  // By the path of a request, such as `/assets/index-4f2a.js`; `/` is the page. Null: none.
  const WebFile* Find(absl::string_view path) const;

 private:
  absl::flat_hash_map<std::string, WebFile> files_;  // by path, with its leading `/`
};

// The header that lets the page load and connect to nothing but this gateway (CSP level 3).
absl::string_view ContentSecurityPolicy();

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_WEB_FILES_H_
