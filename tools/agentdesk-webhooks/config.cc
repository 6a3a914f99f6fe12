#include "tools/agentdesk-webhooks/config.h"

#include <fstream>
#include <set>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"
#include "boost/json/value.hpp"
#include "tools/agentdesk-webhooks/http_post.h"
#include "tools/agentdesk-webhooks/signature.h"
#include "ws_gateway/event_json.h"

namespace agentdesk::webhooks {
namespace {

namespace json = boost::json;

constexpr size_t kMaxEndpoints = 50;
constexpr size_t kMaxName = 40;
constexpr size_t kMaxFileBytes = 1024 * 1024;

absl::string_view View(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

// The error does not name the file.
absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::InvalidArgumentError("cannot be read");
  std::ostringstream text;
  text << file.rdbuf();
  if (text.str().size() > kMaxFileBytes) {
    return absl::InvalidArgumentError("has more than 1 MiB");
  }
  return text.str();
}

absl::StatusOr<std::string> ReadSecretFile(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (text.ok()) return text;
  return absl::InvalidArgumentError(absl::StrCat(path, " ", text.status().message()));
}

bool IsName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxName) return false;
  for (const char c : name) {
    if (!absl::ascii_islower(static_cast<unsigned char>(c)) &&
        !absl::ascii_isdigit(static_cast<unsigned char>(c)) && c != '_' && c != '-') {
      return false;
    }
  }
  return true;
}

// One endpoint of the file, field by field; the first rule that is broken is kept.
class EndpointReader {
 public:
  explicit EndpointReader(std::string place) : place_(std::move(place)) {}

  absl::StatusOr<EndpointConfig> Read(
      const json::value& value, absl::StatusOr<std::string> (*read_file)(const std::string& path)) {
    const json::object* const object = value.if_object();
    if (object == nullptr) return Refuse("", "must be an object");
    EndpointConfig endpoint;
    std::string secret_file;
    absl::Status status;
    for (const json::key_value_pair& field : *object) {
      const absl::string_view name = View(field.key());
      if (name == "name") {
        status.Update(Text(field, endpoint.name));
      } else if (name == "url") {
        status.Update(Text(field, endpoint.url));
      } else if (name == "secret_file") {
        status.Update(Text(field, secret_file));
      } else if (name == "types") {
        status.Update(Types(field, *endpoint.filter.mutable_types()));
      } else if (name == "from_beginning") {
        if (!field.value().is_bool()) return Refuse(name, "must be true or false");
        endpoint.from_beginning = field.value().get_bool();
      } else {
        return Refuse(name, "is not a field of an endpoint");
      }
    }
    if (!status.ok()) return status;
    if (!IsName(endpoint.name)) {
      return Refuse("name", absl::StrCat("must be 1 to ", kMaxName, " of `a-z 0-9 _ -`"));
    }
    if (absl::Status url = CheckUrl(endpoint.url); !url.ok()) return Refuse("url", url.message());
    if (endpoint.filter.types().empty()) {
      return Refuse("types", "must name at least one type of event");
    }
    const absl::StatusOr<std::string> secret = read_file(secret_file);
    if (!secret.ok()) return Refuse("secret_file", secret.status().message());
    absl::StatusOr<std::vector<std::string>> keys = ReadKeys(*secret);
    if (!keys.ok()) return Refuse("secret_file", keys.status().message());
    endpoint.keys = *std::move(keys);
    return endpoint;
  }

 private:
  absl::Status Refuse(absl::string_view field, absl::string_view rule) const {
    return absl::InvalidArgumentError(
        absl::StrCat(place_, field.empty() ? "" : ".", field, ": ", rule));
  }
  absl::Status Text(const json::key_value_pair& field, std::string& text) const {
    if (!field.value().is_string()) return Refuse(View(field.key()), "must be a text");
    text = std::string(field.value().get_string());
    return absl::OkStatus();
  }
  absl::Status Types(const json::key_value_pair& field,
                     google::protobuf::RepeatedField<int>& types) const {
    const json::array* const array = field.value().if_array();
    if (array == nullptr) return Refuse("types", "must be a list of types of events");
    for (const json::value& entry : *array) {
      const std::optional<v1::EventType> type =
          entry.is_string() ? gateway::ParseEventType(View(entry.get_string())) : std::nullopt;
      if (!type.has_value()) {
        return Refuse("types", absl::StrCat(json::serialize(entry), " is not a type of event"));
      }
      types.Add(*type);
    }
    return absl::OkStatus();
  }

  const std::string place_;
};

}  // namespace

absl::StatusOr<std::vector<EndpointConfig>> ParseEndpoints(
    absl::string_view text, absl::StatusOr<std::string> (*read_file)(const std::string& path)) {
  json::error_code error;
  const json::value root = json::parse({text.data(), text.size()}, error);
  if (error) return absl::InvalidArgumentError(absl::StrCat("not JSON: ", error.message()));
  const json::object* const object = root.if_object();
  const json::value* const list = object == nullptr ? nullptr : object->if_contains("endpoints");
  if (list == nullptr || !list->is_array() || object->size() != 1) {
    return absl::InvalidArgumentError("must be an object with the list `endpoints`, and no more");
  }
  const json::array& entries = list->get_array();
  if (entries.empty() || entries.size() > kMaxEndpoints) {
    return absl::InvalidArgumentError(
        absl::StrCat("endpoints: must have 1 to ", kMaxEndpoints, " entries"));
  }
  std::vector<EndpointConfig> endpoints;
  std::set<std::string> names;
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::string place = absl::StrCat("endpoints[", i, "]");
    absl::StatusOr<EndpointConfig> endpoint = EndpointReader(place).Read(entries[i], read_file);
    if (!endpoint.ok()) return endpoint.status();
    if (!names.insert(endpoint->name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(place, ".name: `", endpoint->name, "` is taken"));
    }
    endpoints.push_back(*std::move(endpoint));
  }
  return endpoints;
}

absl::StatusOr<std::vector<EndpointConfig>> ReadEndpoints(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  return ParseEndpoints(*text, ReadSecretFile);
}

}  // namespace agentdesk::webhooks
