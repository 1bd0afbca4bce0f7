#include "schemas/event_json.h"

#include <flatbuffers/minireflect.h>

#include "base/json.h"
#include "schemas/event_generated.h"

namespace ktstr {
namespace {

constexpr size_t kMaxShownBytes = 64;

// Builds JSON along FlatBuffers' walk over a verified buffer. A stack of open objects and arrays; `slot_` is where
// the next value goes.
class JsonVisitor : public flatbuffers::IterationVisitor {
 public:
  OrderedJson take() { return std::move(root_); }

  void StartSequence() override {
    OrderedJson* object = slot();
    *object = OrderedJson::object();
    open_.push_back(object);
  }
  void EndSequence() override { open_.pop_back(); }
  void Field(size_t, size_t, flatbuffers::ElementaryType type, bool repeated, const flatbuffers::TypeTable*,
             const char* name, const uint8_t* value) override {
    name_ = value ? name : nullptr;
    bytes_ = repeated && type == flatbuffers::ET_UCHAR;
    count_ = 0;
  }
  void StartVector() override {
    OrderedJson* array = slot();
    *array = OrderedJson::array();
    open_.push_back(array);
  }
  void EndVector() override {
    OrderedJson* array = open_.back();
    open_.pop_back();
    if (bytes_ && count_ > kMaxShownBytes) *array = "<" + std::to_string(count_) + " bytes>";
    bytes_ = false;
  }
  void UType(uint8_t v, const char* name) override { scalar(v, name); }
  void Bool(bool v) override { *slot() = v; }
  void Char(int8_t v, const char* name) override { scalar(v, name); }
  void UChar(uint8_t v, const char* name) override {
    // A JSON value takes sixteen times the room of the byte.
    if (!bytes_ || ++count_ <= kMaxShownBytes) scalar(v, name);
  }
  void Short(int16_t v, const char* name) override { scalar(v, name); }
  void UShort(uint16_t v, const char* name) override { scalar(v, name); }
  void Int(int32_t v, const char* name) override { scalar(v, name); }
  void UInt(uint32_t v, const char* name) override { scalar(v, name); }
  void Long(int64_t v) override { *slot() = v; }
  void ULong(uint64_t v) override { *slot() = v; }
  void Float(float v) override { *slot() = v; }
  void Double(double v) override { *slot() = v; }
  void String(const flatbuffers::String* v) override { *slot() = v->str(); }
  void Unknown(const uint8_t*) override { *slot() = nullptr; }

 private:
  template <typename T>
  void scalar(T v, const char* name) {
    OrderedJson* to = slot();
    if (name)
      *to = name;
    else
      *to = v;
  }
  OrderedJson* slot() {
    if (open_.empty()) return &root_;
    OrderedJson* parent = open_.back();
    if (parent->is_array()) {
      parent->emplace_back();
      return &parent->back();
    }
    return &(*parent)[name_ ? name_ : "?"];
  }

  OrderedJson root_;
  std::vector<OrderedJson*> open_;
  const char* name_ = nullptr;
  bool bytes_ = false;
  size_t count_ = 0;  // bytes seen of a vector of bytes
};

}  // namespace

OrderedJson event_json(const EventBuffer& event) {
  JsonVisitor visitor;
  flatbuffers::IterateFlatBuffer(event.bytes().data(), EventTypeTable(), &visitor);
  OrderedJson walked = visitor.take();
  const Stamp& stamp = *event->stamp();
  OrderedJson out;
  out["seq"] = stamp.seq();
  out["vm"] = EnumNameVm(stamp.vm());
  out["attempt"] = stamp.attempt();
  out["host_ns"] = stamp.host_ns();
  out["guest_ns"] = stamp.guest_ns();
  out["source"] = str(event->source());
  out["type"] = payload_name(event.type());
  out["payload"] = walked.contains("payload") ? std::move(walked["payload"]) : OrderedJson::object();
  return out;
}

std::string event_json_line(const EventBuffer& event) { return json_text(event_json(event)); }

}  // namespace ktstr
