#include "core_service/rpc/message_bytes.h"

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "core_service/base/utf8.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/unknown_field_set.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "grpcpp/support/slice.h"

namespace agentdesk::rpc {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;

// The path of the first text that is not UTF-8, such as `choices[2].label`; empty: there is none.
std::string FindBadText(const Descriptor& type, const UnknownFieldSet& fields) {
  std::map<int, int> counts;
  for (int i = 0; i < fields.field_count(); ++i) {
    const UnknownField& field = fields.field(i);
    const FieldDescriptor* declared = type.FindFieldByNumber(field.number());
    if (declared == nullptr || field.type() != UnknownField::TYPE_LENGTH_DELIMITED) continue;
    std::string path = declared->name();
    if (declared->is_repeated()) absl::StrAppend(&path, "[", counts[field.number()]++, "]");
    if (declared->type() == FieldDescriptor::TYPE_STRING && !IsUtf8(field.length_delimited())) {
      return path;
    }
    if (declared->type() != FieldDescriptor::TYPE_MESSAGE) continue;
    UnknownFieldSet inner;
    if (!inner.ParseFromString(field.length_delimited())) continue;
    const std::string rest = FindBadText(*declared->message_type(), inner);
    if (!rest.empty()) return absl::StrCat(path, ".", rest);
  }
  return "";
}

absl::Status WhyNotParsed(grpc::ByteBuffer bytes, const Descriptor& type) {
  UnknownFieldSet fields;
  grpc::ProtoBufferReader reader(&bytes);
  if (reader.status().ok() && fields.ParseFromZeroCopyStream(&reader)) {
    const std::string path = FindBadText(type, fields);
    if (!path.empty()) return InvalidField(path, "must be valid UTF-8");
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the request's bytes are not a message of type ", type.full_name()));
}

}  // namespace

absl::Status Parse(const grpc::ByteBuffer& bytes, google::protobuf::Message& message) {
  grpc::ByteBuffer copy = bytes;  // of the reference
  if (!copy.Valid()) return absl::InvalidArgumentError("the call came without a request message");
  grpc::ProtoBufferReader reader(&copy);
  if (reader.status().ok() && message.ParseFromZeroCopyStream(&reader)) return absl::OkStatus();
  return WhyNotParsed(copy, *message.GetDescriptor());
}

grpc::Slice EncodeSlice(const google::protobuf::MessageLite& message) {
  grpc::Slice slice(message.ByteSizeLong());
  message.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(slice.begin()));
  return slice;
}

grpc::ByteBuffer Encode(const google::protobuf::MessageLite& message) {
  const grpc::Slice slice = EncodeSlice(message);
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace agentdesk::rpc
