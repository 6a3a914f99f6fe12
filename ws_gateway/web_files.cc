#include "ws_gateway/web_files.h"

#include <openssl/sha.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace agentdesk::gateway {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFiles = 500;
constexpr size_t kMaxBytes = size_t{32} << 20;
// Where Vite puts what it names by hash.
constexpr absl::string_view kHashedFolder = "/assets/";

absl::string_view TypeOf(absl::string_view path) {
  static constexpr std::pair<absl::string_view, absl::string_view> kTypes[] = {
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".ico", "image/x-icon"},
      {".json", "application/json"},
      {".map", "application/json"},
      {".webmanifest", "application/manifest+json"},
      {".woff2", "font/woff2"},
      {".txt", "text/plain; charset=utf-8"},
  };
  for (const auto& [ending, type] : kTypes) {
    if (absl::EndsWith(path, ending)) return type;
  }
  return "application/octet-stream";
}

std::string EtagOf(absl::string_view bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  const absl::string_view text(reinterpret_cast<const char*>(digest), 16);
  return absl::StrCat("\"", absl::BytesToHexString(text), "\"");
}

absl::Status Wrong(absl::string_view root, absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(root, " ", what));
}

}  // namespace

absl::StatusOr<WebFiles> WebFiles::Read(const std::string& root) {
  WebFiles web;
  size_t total = 0;
  std::error_code error;
  fs::recursive_directory_iterator entries(root, error);
  if (error) return Wrong(root, absl::StrCat("cannot be read: ", error.message()));
  for (; entries != fs::recursive_directory_iterator(); entries.increment(error)) {
    if (!entries->is_regular_file(error)) continue;
    std::ifstream in(entries->path(), std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    if (!in) return Wrong(entries->path().string(), "cannot be read");
    total += bytes.size();
    if (web.files_.size() >= kMaxFiles || total > kMaxBytes) {
      return Wrong(root, "holds more than a web page: 500 files or 32 MiB are the most");
    }
    const std::string path =
        absl::StrCat("/", entries->path().lexically_relative(root).generic_string());
    WebFile file{.content_type = std::string(TypeOf(path)),
                 .bytes = std::move(bytes),
                 .etag = {},
                 .immutable = absl::StartsWith(path, kHashedFolder)};
    file.etag = EtagOf(file.bytes);
    web.files_.emplace(path, std::move(file));
  }
  if (error) return Wrong(root, absl::StrCat("cannot be read: ", error.message()));
  if (web.Find("/") == nullptr) return Wrong(root, "holds no index.html");
  return web;
}

const WebFile* WebFiles::Find(absl::string_view path) const {
  const auto it = files_.find(path == "/" ? "/index.html" : path);
  return it == files_.end() ? nullptr : &it->second;
}

absl::string_view ContentSecurityPolicy() {
  return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
         "font-src 'self'; manifest-src 'self'; connect-src 'self'; base-uri 'none'; "
         "form-action 'self'; frame-ancestors 'none'";
}

}  // namespace agentdesk::gateway
