// scx_verifier_reject: its BPF program is refused at load time; libbpf prints the verifier's log.
#include "tests/schedulers/common/scx_user.h"

int main(int argc, char** argv) { return scx::run({.name = "verifier_reject"}, argc, argv); }
