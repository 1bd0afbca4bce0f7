// ktstr-init: PID 1 of the test VM.
//
// Reads:      its work from the channel, or /ktstr/plan.bin of the initramfs; the kernel's sched_ext state and dump; the outputs of
//             the scheduler and the payloads; frames of ktstr-probe; commands of the host on the channel.
// Writes:     events on the channel (event_channel.h), which the host's ktstr-collector reads. Nothing on the console.
// Trusts:     the plan, after the FlatBuffers verifier; nothing that the scheduler prints.
// On failure: it sends GuestFailed and powers off. It never exits, because the kernel would panic.
// Limits:     one run, then power-off; x86-64.
//
// It runs at SCHED_FIFO 99, reset on fork, so that neither the scheduler under test nor real-time workers (98 at most)
// can keep it from collecting data. It sleeps in epoll nearly all the time, so it disturbs the workload little. Its
// helpers are real-time tasks, too (own_class.h); the scheduler, workers and payloads are ordinary tasks.
#include <exception>

#include "guest/init/init.h"

int main() {
  try {
    ktstr::guest::init_main();
  } catch (const std::exception& error) {
    ktstr::guest::last_words(error.what());
  }
  ktstr::guest::power_off();
}
