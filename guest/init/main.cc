// ktstr-init: PID 1 of the test VM.
//
// Reads      /ktstr/plan.bin (GuestPlan) from the initramfs; the kernel's sched_ext state and dump; the
// outputs of the
//            scheduler; frames of ktstr-probe.
// Writes     events on the channel (event_channel.h); the host's ktstr-collector reads it. Nothing on the
// console. Trusts     nothing that the scheduler says; the plan, after the FlatBuffers verifier. On failure
// says GuestFailed and powers off. It never exits: the kernel would panic. Limits     one run, then
// power-off; x86-64.
//
// Runs as SCHED_FIFO 99, reset on fork: evidence must flow while the scheduler under test, or a real-time worker,
// starves everything else. It sleeps in epoll nearly always, so it hardly disturbs what is measured; its children are ordinary
// tasks.
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
