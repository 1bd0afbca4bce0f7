# What `cmake --install` puts where: programs (bin), libraries and headers (lib, include), schemas (share/ktstr), the CMake
# package (lib/cmake/ktstr).
include(CMakePackageConfigHelpers)

install(DIRECTORY ${CMAKE_SOURCE_DIR}/sdk/include/ktstr DESTINATION include)
install(FILES ${CMAKE_SOURCE_DIR}/runtime/result.h DESTINATION include/ktstr)
foreach(schema spec probe event)
  install(FILES ${CMAKE_BINARY_DIR}/schemas/${schema}_generated.h DESTINATION include/ktstr)
  install(FILES ${CMAKE_SOURCE_DIR}/schemas/${schema}.fbs DESTINATION share/ktstr/schemas)
endforeach()
install(FILES ${CMAKE_SOURCE_DIR}/docs/protocol.md ${CMAKE_SOURCE_DIR}/docs/log-format.md DESTINATION share/doc/ktstr)

# ktstr-launch looks for the others beside itself.
install(TARGETS ktstr-launch ktstr-collector ktstr-monitor ktstr-reproer ktstr-reporter ktstr-init ktstr-probe
        RUNTIME DESTINATION bin)

set(package lib/cmake/ktstr)
install(EXPORT ktstrTargets NAMESPACE ktstr:: DESTINATION ${package})
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/ktstrConfig.cmake.in ${CMAKE_BINARY_DIR}/ktstrConfig.cmake
  INSTALL_DESTINATION ${package})
# Below 1.0 every minor version may break its users.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/ktstrConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/ktstrConfig.cmake ${CMAKE_BINARY_DIR}/ktstrConfigVersion.cmake
              ${CMAKE_SOURCE_DIR}/cmake/KtstrAddTests.cmake ${CMAKE_SOURCE_DIR}/cmake/KtstrDiscover.cmake DESTINATION ${package})
