// The init of the bare reference VM (vm_bench.cc): says one line and waits to be killed.
#include <unistd.h>

int main() {
  constexpr char kLine[] = "bare init\n";
  (void)!::write(1, kLine, sizeof kLine - 1);
  for (;;) ::pause();
}
