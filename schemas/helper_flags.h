// Options with which ktstr-launch starts other programs: its helper processes (runtime/process.h says what each common
// one means) and test binaries (ktstr/test.h).
#pragma once

namespace ktstr {

inline constexpr char kBusFlag[] = "--bus";
inline constexpr char kLogFlag[] = "--log";
inline constexpr char kRunIdFlag[] = "--run-id";
inline constexpr char kReadyFdFlag[] = "--ready-fd";
inline constexpr char kStartNsFlag[] = "--start-ns";
inline constexpr char kParentFlag[] = "--parent";
inline constexpr char kRecordedUntilFlag[] = "--recorded-until";
inline constexpr char kReportFileFlag[] = "--report-file";  // ktstr-reporter

inline constexpr char kListTestsFlag[] = "--ktstr-list";  // a test binary prints its tests as a TOML spec
inline constexpr char kRunBodyFlag[] = "--ktstr-run";     // NAME: it runs this body, in the VM

}  // namespace ktstr
