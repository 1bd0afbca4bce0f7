// What kernel_sources_test and source_lines_test read in place of a vmlinux: a banner, a function, and one inlined into it.
const char linux_banner[] __attribute__((used)) = "Linux version 9.9.9-fixture (ktstr) #1";

void (*volatile fixture_sink)(int);

static inline __attribute__((always_inline)) void fixture_inner(int n) {
  fixture_sink(n + 1);  // the inner call
}

__attribute__((noinline)) void fixture_outer(int n) {
  fixture_inner(n);
  fixture_sink(n);  // the outer call
}
