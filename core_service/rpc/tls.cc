#include "core_service/rpc/tls.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "grpc/grpc.h"
#include "grpc/grpc_security.h"
#include "grpcpp/security/tls_certificate_verifier.h"
#include "grpcpp/security/tls_credentials_options.h"

namespace agentdesk::rpc {
namespace {

// What CertificateEnds remembers at most: 2 MiB.
constexpr size_t kMostEnds = 256;
constexpr size_t kMaxPem = 8192;

// The C++ interface has no certificates that change, the C interface has.
class ReloadingCredentials final : public grpc::ServerCredentials {
 public:
  explicit ReloadingCredentials(const CertificateFiles& files)
      : files_(files),
        credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(
                files.Current()->authorities.empty()
                    ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                    : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY,
                &Fetch, this))) {}
  ~ReloadingCredentials() override { grpc_server_credentials_release(credentials_); }

  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  // Called by gRPC before each handshake.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    return static_cast<ReloadingCredentials*>(self)->Fetch(config);
  }
  grpc_ssl_certificate_config_reload_status Fetch(grpc_ssl_server_certificate_config** config) {
    std::shared_ptr<const Certificates> current = files_.Current();
    MutexLock lock(mutex_);
    if (current == given_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair = {current->key.c_str(), current->chain.c_str()};
    // gRPC wants some authorities also where it asks clients for nothing, and then ignores them.
    const std::string& authorities =
        current->authorities.empty() ? current->chain : current->authorities;
    *config = grpc_ssl_server_certificate_config_create(authorities.c_str(), &pair, 1);
    given_ = std::move(current);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const CertificateFiles& files_;
  grpc_server_credentials* const credentials_;
  Mutex mutex_;
  std::shared_ptr<const Certificates> given_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> TlsCredentials(const CertificateFiles& files) {
  return std::make_shared<ReloadingCredentials>(files);
}

std::shared_ptr<grpc::ChannelCredentials> TlsToSelf() {
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_verify_server_certs(false);
  options.set_certificate_verifier(std::make_shared<grpc::experimental::NoOpCertificateVerifier>());
  options.set_check_call_host(false);
  return grpc::experimental::TlsCredentials(options);
}

std::vector<std::string> CertificateNames(const grpc::AuthContext& connection) {
  std::vector<std::string> names;
  if (!connection.IsPeerAuthenticated()) return names;
  const std::pair<const char*, const char*> kinds[] = {{GRPC_PEER_DNS_PROPERTY_NAME, "DNS:"},
                                                       {GRPC_PEER_URI_PROPERTY_NAME, "URI:"},
                                                       {GRPC_PEER_EMAIL_PROPERTY_NAME, "EMAIL:"}};
  for (const auto& [property, kind] : kinds) {
    for (const grpc::string_ref& value : connection.FindPropertyValues(property)) {
      names.push_back(absl::StrCat(kind, absl::string_view(value.data(), value.size())));
    }
  }
  return names;
}

absl::Time CertificateEnds::Of(const grpc::AuthContext& connection) {
  const std::vector<grpc::string_ref> shown =
      connection.FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (shown.empty()) return absl::InfiniteFuture();
  const absl::string_view pem(shown.front().data(), shown.front().size());
  {
    MutexLock lock(mutex_);
    if (const auto found = ends_.find(pem); found != ends_.end()) return found->second;
  }
  const absl::Time end = EndOfCertificate(pem);
  if (pem.size() > kMaxPem) return end;
  MutexLock lock(mutex_);
  if (ends_.size() >= kMostEnds) ends_.clear();
  ends_.emplace(pem, end);
  return end;
}

}  // namespace agentdesk::rpc
