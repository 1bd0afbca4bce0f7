#include "ktstr/client.h"

#include <poll.h>
#include <unistd.h>

#include <random>
#include <thread>
#include <zmq.hpp>

#include "base/child.h"
#include "base/clock.h"
#include "base/json.h"
#include "runtime/bus.h"
#include "runtime/curve_keys.h"
#include "runtime/repair_source.h"
#include "schemas/client_generated.h"
#include "schemas/envelope.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kMaxLine = 4096;
constexpr milliseconds kLookAgain{200};
constexpr milliseconds kJoinLimit{15'000};

std::string launch_program(const FindOptions& options) {
  if (!options.ktstr_launch.empty()) return options.ktstr_launch;
  const char* env = std::getenv("KTSTR_LAUNCH");
  return env && *env ? env : "ktstr-launch";
}

std::string text_of(const nlohmann::json& object, const char* key) {
  auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

uint64_t number_of(const nlohmann::json& object, const char* key) {
  auto it = object.find(key);
  return it != object.end() && it->is_number_unsigned() ? it->get<uint64_t>() : 0;
}

bool flag_of(const nlohmann::json& object, const char* key) {
  auto it = object.find(key);
  return it != object.end() && it->is_boolean() && it->get<bool>();
}

// Ours alone, so that a refusal finds us: 16 hex digits.
std::string make_token() {
  std::random_device random;
  char text[17];
  std::snprintf(text, sizeof text, "%08x%08x", random(), random());
  return text;
}

}  // namespace

Result<std::vector<RunInfo>> live_runs(const FindOptions& options) {
  const std::string program = launch_program(options);
  auto answer =
      run_captured({.argv = {program, "runs", "--json"}}, milliseconds(10'000), /*merge_stderr=*/false);
  if (!answer)
    return std::move(answer)
        .error()
        .within("ask " + program + " for live runs")
        .with_hint("put it in PATH or name it in KTSTR_LAUNCH");
  auto json = parse_json(answer->out);
  if (!answer->exit.clean() || !json.is_array())
    return Error::system(program + " runs --json: " + answer->exit.to_string() + ", and no list");
  std::vector<RunInfo> runs;
  for (const auto& entry : json) {
    if (!entry.is_object()) continue;
    runs.push_back({.run_id = text_of(entry, "run_id"),
                    .bus = text_of(entry, "bus"),
                    .log = text_of(entry, "log"),
                    .pid = static_cast<int>(number_of(entry, "pid")),
                    .start_ns = number_of(entry, "start_ns"),
                    .replay = flag_of(entry, "replay")});
  }
  return runs;
}

Result<RunInfo> find_run(const std::string& wanted, const FindOptions& options) {
  const auto until = steady_clock::now() + options.patience;
  while (true) {
    auto runs = live_runs(options);
    if (!runs) return std::move(runs).error();
    for (auto run = runs->rbegin(); run != runs->rend(); ++run)
      if (wanted == "latest" || run->run_id.find(wanted) != std::string::npos) return *run;
    if (steady_clock::now() >= until)
      return Error::not_found(wanted == "latest" ? "no run is live" : "no live run is called " + wanted);
    std::this_thread::sleep_for(kLookAgain);
  }
}

namespace {

Result<BusAddress> address_of(const RunInfo& run) {
  if (run.endpoint.empty()) return BusAddress::in_folder(run.bus);
  auto address = BusAddress::remote(run.endpoint);
  if (!address) return address;
  auto key = read_client_key(run.key_file);
  if (!key) return std::move(key).error();
  address->key = *key;
  return address;
}

}  // namespace

Result<RunInfo> remote_run(const std::string& endpoint, const std::string& key_file) {
  RunInfo run{.endpoint = endpoint, .key_file = key_file};
  auto address = address_of(run);
  if (!address) return std::move(address).error();
  zmq::context_t zmq;
  auto hub = RepairSource::from_hub(zmq, *address);
  if (!hub) return std::move(hub).error();
  auto first = (*hub)->get(1, 1);
  if (!first && first.error().kind() == ErrorKind::kInvalid) return std::move(first).error().within(endpoint);
  if (!first)
    return Error::timeout(endpoint + ": no run answers")
        .with_hint("the run may have ended, or the key may belong to another server");
  run.run_id = str((*first)->run_id());
  return run;
}

struct Client::State {
  BusAddress address;
  bool finished = false;  // RunFinished was handed out
  RunInfo run;
  ClientOptions options;
  std::string token = make_token();
  zmq::context_t zmq;
  std::optional<Publisher> publisher;
  std::optional<Subscriber> subscriber;
  SystemClock clock;

  bool alive() const {
    if (!run.endpoint.empty()) return !finished;
    return ::access((run.bus + "/run.json").c_str(), F_OK) == 0;
  }
};

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<Client> Client::connect(const RunInfo& run, const ClientOptions& options) {
  if (is_own_source(options.name))
    return Error::invalid("the source name \"" + options.name + "\" is taken by ktstr itself")
        .with_hint("choose another");
  auto state = std::make_unique<State>();
  state->run = run;
  state->options = options;
  auto address = address_of(run);
  if (!address) return std::move(address).error();
  state->address = *address;
  auto subscriber = Subscriber::connect(state->zmq, *address, run.log);
  if (!subscriber) return std::move(subscriber).error();
  state->subscriber.emplace(std::move(subscriber).value());
  if (options.name.empty()) return Client(std::move(state));
  auto publisher = Publisher::connect(state->zmq, *address);
  if (!publisher) return std::move(publisher).error();
  state->publisher.emplace(std::move(publisher).value());
  state->publisher->set_give_up([raw = state.get()] { return !raw->alive(); });
  Client client(std::move(state));
  ClientJoinedT joined;
  joined.name = options.name;
  joined.pid = static_cast<uint32_t>(::getpid());
  joined.schema_version = kSchemaVersion;
  joined.client = client.state_->token;
  if (auto sent = client.publish(std::move(joined)); !sent) return std::move(sent).error();
  if (options.await_join && !run.replay)
    if (auto taken = client.await_join(); !taken) return std::move(taken).error();
  return client;
}

// The hub accepted us when our ClientJoined arrives. A second subscription receives it, so that next()
// still begins at the start.
Status Client::await_join() {
  auto ear = Subscriber::connect(state_->zmq, state_->address, state_->run.log);
  if (!ear) return std::move(ear).error();
  const auto until = steady_clock::now() + kJoinLimit;
  while (steady_clock::now() < until) {
    auto event = ear->receive();
    if (!event) return std::move(event).error();
    if (!*event) {
      if (!run_alive()) return Error::not_found("the run is over");
      pollfd p{ear->fd(), POLLIN, 0};
      ::poll(&p, 1, 20);
      continue;
    }
    if (auto* joined = (*event)->as<ClientJoined>(); joined && str(joined->client()) == state_->token)
      return {};
    if (auto* refused = (*event)->as<ClientRefused>(); refused && str(refused->client()) == state_->token)
      return refusal(*refused);
  }
  return Error::timeout("the hub did not answer our joining");
}

Error Client::refusal(const ClientRefused& refused) const {
  return Error::invalid("the hub refuses the source name \"" + state_->options.name +
                        "\": " + std::string(str(refused.reason())));
}

Result<std::optional<StreamEvent>> Client::next(milliseconds wait) {
  const auto until = steady_clock::now() + wait;
  while (true) {
    auto event = state_->subscriber->receive();
    if (!event) return std::move(event).error();
    if (!*event) {
      // On this host the run's file tells of its end; from another machine only the hub's heartbeat does.
      if (!state_->run.endpoint.empty() && state_->subscriber->silence() > kHubSilence) {
        state_->finished = true;
        return Error::timeout(state_->run.endpoint + ": nothing was heard for 30 s, not even a heartbeat")
            .with_hint("ktstr-launch or the network is gone");
      }
      const auto left = std::chrono::duration_cast<milliseconds>(until - steady_clock::now()).count();
      if (left <= 0) return std::optional<StreamEvent>();
      pollfd p{fd(), POLLIN, 0};
      // The descriptor is edge-triggered: look at the socket itself now and then.
      ::poll(&p, 1, static_cast<int>(std::min<int64_t>(left, 50)));
      continue;
    }
    if (auto* refused = (*event)->as<ClientRefused>(); refused && str(refused->client()) == state_->token)
      return refusal(*refused);
    if ((*event)->type() == Payload::RunFinished) state_->finished = true;
    if ((*event)->seq() < state_->options.from_seq) continue;
    auto bytes = (*event)->bytes();
    return std::optional<StreamEvent>(std::in_place, std::vector<uint8_t>(bytes.begin(), bytes.end()));
  }
}

int Client::fd() const { return state_->subscriber->fd(); }

Status Client::line(std::string_view text) {
  CollectorLineT fact;
  fact.text = text.substr(0, kMaxLine);
  fact.truncated = text.size() > kMaxLine;
  return publish(std::move(fact));
}

Status Client::publish_payload(PayloadUnion payload, uint64_t guest_ns) {
  if (!state_->publisher) return Error::invalid("a client without a name publishes nothing");
  EventHead head{
      .run_id = state_->run.run_id,
      .source = state_->options.name,
      // Another machine's clock means nothing here: the hub fills in the time of arrival.
      .host_ns = state_->run.endpoint.empty() ? state_->clock.monotonic_ns() - state_->run.start_ns : 0,
      .guest_ns = guest_ns};
  return state_->publisher->publish(make_event_impl(head, std::move(payload)));
}

bool Client::run_alive() const { return state_->alive(); }
uint64_t Client::repaired() const { return state_->subscriber->repaired(); }
const RunInfo& Client::run() const { return state_->run; }

}  // namespace ktstr
