// Messages of a shell (shell.fbs) as payloads of the channel's frames. In a header, so that the static guest program shares it.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "schemas/shell_generated.h"

namespace ktstr {

// The payload of one frame.
template <typename T>
std::vector<uint8_t> shell_message(T fact) {
  ShellMessageT message;
  message.payload.Set(std::move(fact));
  flatbuffers::FlatBufferBuilder fbb;
  FinishShellMessageBuffer(fbb, ShellMessage::Pack(fbb, &message));
  return {fbb.GetBufferPointer(), fbb.GetBufferPointer() + fbb.GetSize()};
}

// Null: it is no message, or a damaged one. It lives as long as the payload.
inline const ShellMessage* as_shell_message(std::span<const uint8_t> payload) {
  if (payload.size() < 8 || !ShellMessageBufferHasIdentifier(payload.data())) return nullptr;
  flatbuffers::Verifier verifier(payload.data(), payload.size());
  return VerifyShellMessageBuffer(verifier) ? GetShellMessage(payload.data()) : nullptr;
}

inline std::span<const uint8_t> bytes_of(const flatbuffers::Vector<uint8_t>* data) {
  return data ? std::span<const uint8_t>(data->data(), data->size()) : std::span<const uint8_t>();
}

}  // namespace ktstr
