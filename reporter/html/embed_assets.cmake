# cmake -D OUTPUT=FILE.cc -D SCRIPT=page.js -D STYLE=page.css -D LIBRARY=folder of dygraphs -P embed_assets.cmake: C++ source with
# the files as strings (assets.h). A file that holds "</script" would end its element of the page.
file(READ ${SCRIPT} script)
file(READ ${STYLE} style)
file(READ ${LIBRARY}/dygraph.min.js library)
file(READ ${LIBRARY}/dygraph.min.css library_style)
file(READ ${LICENCE} licence)
# Names of files that are not there.
string(REGEX REPLACE "//# sourceMappingURL=[^\n]*" "" library "${library}")
string(REGEX REPLACE "/\\*# sourceMappingURL=[^*]*\\*/" "" library_style "${library_style}")
set(style "/*! dygraphs, MIT licence: see the notice in the script */\n${library_style}\n${style}")
set(library "/*! dygraphs 2, https://dygraphs.com\n${licence}*/\n${library}")
foreach(text script style library)
  if("${${text}}" MATCHES "</script|</style|<script|<!--|\\)KTSTR\"|\\]\\]>")
    message(FATAL_ERROR "embed_assets: ${text}: ${CMAKE_MATCH_0} cannot stand inside an element of a page")
  endif()
endforeach()
file(WRITE ${OUTPUT} "#include \"reporter/html/assets.h\"\n\nnamespace ktstr {\n\n"
  "const std::string_view kPageScript = R\"KTSTR(${script})KTSTR\";\n"
  "const std::string_view kPageStyle = R\"KTSTR(${style})KTSTR\";\n"
  "const std::string_view kPlottingScript = R\"KTSTR(${library})KTSTR\";\n\n}  // namespace ktstr\n")
