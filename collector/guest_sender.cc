#include "collector/guest_sender.h"

#include <sys/stat.h>
#include <unistd.h>

#include "schemas/client_generated.h"
#include "schemas/frame_codec.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

constexpr uint8_t kGoodbye = 'K';

bool may_be_in_bundle(Payload type, bool handover) {
  return type == Payload::FileEmbedded ||
         (handover && (type == Payload::HandoverStarted || type == Payload::HandoverFinished));
}

// Exactly `size` bytes; false at the end of the file.
Result<bool> read_whole(int fd, void* into, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t n = ::read(fd, static_cast<char*>(into) + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno("read the files");
    if (n == 0) {
      if (done == 0) return false;
      return Error::invalid("the files end inside a frame");
    }
    done += static_cast<size_t>(n);
  }
  return true;
}

}  // namespace

Status GuestSender::add(const EventBuffer& request, UniqueFd bundle) {
  std::string name(str(request.as<GuestCommandRequested>()->name()));
  if (goodbye_) return Error::invalid("the VM's run is over");
  // Without a program it asks the one that runs to end.
  auto* argv = request.as<GuestCommandRequested>()->argv();
  auto* fetch = request.as<GuestCommandRequested>()->fetch();
  const bool stops = (!argv || argv->size() == 0) && (!fetch || fetch->size() == 0);
  if (stops && !waiting_.contains(name)) return Error::not_found("no command of this name runs in the VM");
  if (!stops && waiting_.contains(name)) return Error::invalid("a command of this name runs in the VM");
  if (!stops && waiting_.size() >= kMaxCommands)
    return Error::exhausted(std::to_string(kMaxCommands) + " commands run in the VM already");
  struct stat info{};
  if (bundle && (::fstat(bundle.get(), &info) != 0 || !S_ISREG(info.st_mode)))
    return Error::invalid("the command's files are not in a regular file");
  if (bundle && static_cast<uint64_t>(info.st_size) > kMaxBundleBytes)
    return Error::exhausted("the command's files are more than " + std::to_string(kMaxBundleBytes >> 20) +
                            " MiB");
  Item item{.name = name, .bundle = std::move(bundle), .request = {}};
  append_frame(request.bytes(), item.request);
  items_.push_back(std::move(item));
  waiting_.insert(std::move(name));
  return {};
}

void GuestSender::hand_over(UniqueFd bundle) {
  items_.push_front({.name = {}, .bundle = std::move(bundle), .request = {}});
}

void GuestSender::say_goodbye() {
  if (goodbye_) return;
  goodbye_ = true;
  items_.clear();  // a frame in hand is sent to its end: the guest counts on whole frames
}

// False: the bundle is at its end.
Result<bool> GuestSender::load_from_bundle(Item& item) {
  FrameHeader header;
  auto more = read_whole(item.bundle.get(), &header, sizeof header);
  if (!more || !*more) return more;
  if (header.magic != kFrameMagic || header.length > kMaxFramePayload)
    return Error::invalid("the files are damaged");
  std::vector<uint8_t> payload(header.length);
  auto whole = read_whole(item.bundle.get(), payload.data(), payload.size());
  if (!whole || !*whole) return whole ? Error::invalid("the files end inside a frame") : whole;
  auto event = EventBuffer::from_bytes(payload);
  if (frame_crc(payload) != header.crc32 || !event || !may_be_in_bundle(event->type(), item.name.empty()))
    return Error::invalid("the files are damaged");
  append_frame(payload, frame_);
  return true;
}

std::span<const uint8_t> GuestSender::next() {
  while (frame_.empty()) {
    if (items_.empty()) {
      if (!goodbye_ || goodbye_said_) return {};
      goodbye_said_ = true;
      append_frame(std::span(&kGoodbye, 1), frame_);
      break;
    }
    Item& item = items_.front();
    if (item.bundle) {
      auto loaded = load_from_bundle(item);
      if (!loaded) {
        failures_.push_back({item.name, loaded.error().message()});
        waiting_.erase(item.name);
        items_.pop_front();
      } else if (!*loaded) {
        item.bundle.reset();
      }
      continue;
    }
    frame_ = std::move(item.request);  // of the handover there is none
    items_.pop_front();
  }
  return std::span(frame_).subspan(sent_);
}

void GuestSender::sent(size_t bytes) {
  sent_ += bytes;
  if (sent_ < frame_.size()) return;
  frame_.clear();
  sent_ = 0;
}

}  // namespace ktstr
