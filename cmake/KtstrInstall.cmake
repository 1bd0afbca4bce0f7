# What `cmake --install` puts where: programs, libraries and headers, schemas and demo (share/ktstr), the CMake package, documents,
# manual page and completions.
include(CMakePackageConfigHelpers)

install(DIRECTORY ${CMAKE_SOURCE_DIR}/sdk/include/ktstr DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_SOURCE_DIR}/base/result.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ktstr)
# The generated headers include each other as schemas/NAME.
install(DIRECTORY ${CMAKE_BINARY_DIR}/schemas/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ktstr/schemas
  FILES_MATCHING PATTERN "*_generated.h" PATTERN flatc EXCLUDE PATTERN CMakeFiles EXCLUDE)
get_property(schema_files GLOBAL PROPERTY KTSTR_SCHEMA_FILES)
install(FILES ${schema_files} DESTINATION ${CMAKE_INSTALL_DATADIR}/ktstr/schemas)

# ktstr-launch looks for the others beside itself.
install(TARGETS ktstr-launch ktstr-collector ktstr-monitor ktstr-reproer ktstr-reporter ktstr-init ktstr-probe
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS ktstr-qemu-order LIBRARY DESTINATION ${CMAKE_INSTALL_BINDIR})

# The demo, with a scheduler that brings its libraries along.
install(FILES ${CMAKE_SOURCE_DIR}/examples/demo.toml DESTINATION ${CMAKE_INSTALL_DATADIR}/ktstr/demo)
install(TARGETS ktstr_demo_scheduler RUNTIME DESTINATION ${CMAKE_INSTALL_DATADIR}/ktstr/demo)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md" PATTERN "*.json")
install(FILES ${CMAKE_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/examples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples USE_SOURCE_PERMISSIONS
  PATTERN CMakeLists.txt EXCLUDE)

# Manual page and completions are made from the parser's own tables, by the program that is installed.
install(CODE "
  set(made \"${CMAKE_BINARY_DIR}/desk\")
  file(MAKE_DIRECTORY \"\${made}\")
  foreach(words \"man:ktstr-launch.1\" \"completions bash:ktstr-launch\" \"completions zsh:_ktstr-launch\" \"completions fish:ktstr-launch.fish\")
    string(REGEX MATCH \"^(.*):(.*)$\" ignored \"\${words}\")
    set(name \"\${CMAKE_MATCH_2}\")
    separate_arguments(arguments UNIX_COMMAND \"\${CMAKE_MATCH_1}\")
    execute_process(COMMAND \"$<TARGET_FILE:ktstr-launch>\" \${arguments} OUTPUT_FILE \"\${made}/\${name}\"
      COMMAND_ERROR_IS_FATAL ANY)
  endforeach()")
install(FILES ${CMAKE_BINARY_DIR}/desk/ktstr-launch.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${CMAKE_BINARY_DIR}/desk/ktstr-launch DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${CMAKE_BINARY_DIR}/desk/_ktstr-launch DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES ${CMAKE_BINARY_DIR}/desk/ktstr-launch.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/ktstr)
install(EXPORT ktstrTargets NAMESPACE ktstr:: DESTINATION ${package})
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/ktstrConfig.cmake.in ${CMAKE_BINARY_DIR}/ktstrConfig.cmake
  INSTALL_DESTINATION ${package} PATH_VARS CMAKE_INSTALL_BINDIR CMAKE_INSTALL_DATADIR)
# Below 1.0 every minor version may break its users.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/ktstrConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/ktstrConfig.cmake ${CMAKE_BINARY_DIR}/ktstrConfigVersion.cmake
              ${CMAKE_SOURCE_DIR}/cmake/KtstrAddTests.cmake ${CMAKE_SOURCE_DIR}/cmake/KtstrDiscover.cmake
        DESTINATION ${package})
