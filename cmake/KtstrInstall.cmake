# What `cmake --install` puts where: programs, libraries and headers, schemas (share/ktstr), the CMake package.
include(CMakePackageConfigHelpers)

install(DIRECTORY ${CMAKE_SOURCE_DIR}/sdk/include/ktstr DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_SOURCE_DIR}/base/result.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ktstr)
# The generated headers include each other as schemas/NAME.
install(DIRECTORY ${CMAKE_BINARY_DIR}/schemas/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ktstr/schemas
  FILES_MATCHING PATTERN "*_generated.h" PATTERN flatc EXCLUDE PATTERN CMakeFiles EXCLUDE)
get_property(schema_files GLOBAL PROPERTY KTSTR_SCHEMA_FILES)
install(FILES ${schema_files} DESTINATION ${CMAKE_INSTALL_DATADIR}/ktstr/schemas)
install(FILES ${CMAKE_SOURCE_DIR}/docs/protocol.md ${CMAKE_SOURCE_DIR}/docs/log-format.md
  DESTINATION ${CMAKE_INSTALL_DOCDIR})

# ktstr-launch looks for the others beside itself.
install(TARGETS ktstr-launch ktstr-collector ktstr-monitor ktstr-reproer ktstr-reporter ktstr-init ktstr-probe
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/ktstr)
install(EXPORT ktstrTargets NAMESPACE ktstr:: DESTINATION ${package})
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/ktstrConfig.cmake.in ${CMAKE_BINARY_DIR}/ktstrConfig.cmake
  INSTALL_DESTINATION ${package} PATH_VARS CMAKE_INSTALL_BINDIR CMAKE_INSTALL_DATADIR)
# Below 1.0 every minor version may break its users.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/ktstrConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/ktstrConfig.cmake ${CMAKE_BINARY_DIR}/ktstrConfigVersion.cmake
              ${CMAKE_SOURCE_DIR}/cmake/KtstrAddTests.cmake ${CMAKE_SOURCE_DIR}/cmake/KtstrDiscover.cmake
        DESTINATION ${package})
