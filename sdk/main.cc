// For test binaries without a main() of their own.
#include "ktstr/test.h"

int main(int argc, char** argv) { return ktstr::test_main(argc, argv); }
