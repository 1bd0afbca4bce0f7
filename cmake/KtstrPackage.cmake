# A Debian package of what `cmake --install` installs: `cpack --config build/release/CPackConfig.cmake`. tests/install tries it.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ktstr)
set(CPACK_PACKAGE_VENDOR ktstr)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "finds out why a Linux sched_ext scheduler failed")
set(CPACK_PACKAGE_DESCRIPTION "ktstr boots a kernel in a VM, runs a sched_ext scheduler under a declared workload, and when the scheduler
crashes repeats the scenario with probes on the functions of the crash chain. It prints a report.")
set(CPACK_PACKAGE_CONTACT "the ktstr developers <ktstr@localhost>")
set(CPACK_PACKAGE_FILE_NAME "ktstr_${PROJECT_VERSION}_amd64")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE amd64)
# Shared libraries by dpkg-shlibdeps; no compiler is needed: the BPF programs are inside ktstr-probe and the demo's scheduler.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "qemu-system-x86, busybox-static, ca-certificates, debian-archive-keyring")
include(CPack)
