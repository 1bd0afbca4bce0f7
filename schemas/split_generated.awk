# Splits a header that flatc made (2.0.x) into declarations and definitions:
#   awk -v base=run -v header=OUT.h -v source=OUT.cc -f split_generated.awk flatc/run_generated.h flatc/run_generated.h
# `-v forward=spec:TestSpec`: of spec.fbs the header needs this table by name only (a pointer to it), so it does not include
# spec_generated.h. Who makes or destroys the table that holds the pointer includes both.
# (the same file twice: the first reading only finds the members of the union).
#
# flatc writes every function inline. A file that names one table then compiles the packing, unpacking, verifying and
# reflection of all of them, which was four fifths of the build. Here the bodies move to one source file a schema.
# Event's header also loses its includes: it needs the members of its union by name only, so that whoever handles
# events in general is not compiled again when one table gets a field.
#
# What is not recognised stays inline in the header: a newer flatc costs build time, not correctness.

function class_of_line() {
  match($0, /^struct [A-Za-z0-9_]+/)
  return substr($0, 8, RLENGTH - 7)
}

# A signature for the source file: default arguments belong to the declaration alone.
function without_defaults(text) {
  gsub(/ = nullptr/, "", text)
  gsub(/ = [-A-Za-z0-9_:.]+(\(\))?/, "", text)
  return text
}

# The kinds of top-level functions that move.
function moves(text) {
  return text ~ /::UnPack(To)?\(/ || text ~ /::Pack\(/ || text ~ / Create[A-Z][A-Za-z0-9_]*\(/ ||
         text ~ /TypeTable\(\) \{/ || text ~ /^inline bool Verify[A-Za-z0-9_]*(Vector)?\($/ ||
         text ~ /^inline bool VerifyPayload/ || text ~ /Union::/ || text ~ /^inline ([A-Za-z0-9_]+T)::[A-Za-z0-9_]+T\(/ ||
         text ~ /T::operator=\(/
}

BEGIN {
  split(forward, forwarded, ":")
  print "#include \"schemas/" base "_generated.h\"\n" > source
  # The union destroys every table, so it needs what a header knows by name only.
  if (base == "event") print "#include \"schemas/spec_generated.h\"" > source
}

# First reading.
NR == FNR {
  if (/^template<> struct PayloadTraits</) {
    name = $3
    gsub(/PayloadTraits<ktstr::|>/, "", name)
    members = members "struct " name ";\nstruct " name "T;\n"
  }
  next
}

# Includes of other schemas.
/^#include "[a-z_]+_generated.h"/ {
  name = $2
  gsub(/"/, "", name)
  if (base == "event") {
    # What the event itself is made of comes in whole; its payloads by name.
    if (name == "common_generated.h") print "#include \"" name "\"" > header
    print "#include \"schemas/" name "\"" > source
  } else if (name == forwarded[1] "_generated.h") {
    print "#include \"schemas/" name "\"" > source
    members = "struct " forwarded[2] ";\nstruct " forwarded[2] "T;\n"
  } else {
    print "#include \"" name "\"" > header
  }
  next
}

/^namespace ktstr \{/ {
  print > header
  print "\nnamespace ktstr {\n" > source
  if (members) print members > header
  next
}

# Prototypes of functions whose bodies move.
/^inline .*;$/ { sub(/^inline /, ""); print > header; next }

/^struct [A-Za-z0-9_]+ .*\{$/ || /^struct [A-Za-z0-9_]+ \{$/ { current = class_of_line() }

# Verify in a table's class.
current != "" && /^  bool Verify\(flatbuffers::Verifier &verifier\) const \{$/ {
  print "  bool Verify(flatbuffers::Verifier &verifier) const;" > header
  print "bool " current "::Verify(flatbuffers::Verifier &verifier) const {" > source
  while ((getline line) > 0) {
    print line > source
    if (line == "  }") break
  }
  print "" > source
  next
}

/^};$/ { current = "" }

# Top-level inline functions, signature first; it may take several lines.
/^inline / {
  signature = $0
  while (signature !~ /\{$/) {
    getline line
    signature = signature "\n" line
  }
  if (!moves(signature)) {
    print signature > header
    next
  }
  sub(/^inline /, "", signature)
  # Members are declared in their class.
  if (signature !~ /::[A-Za-z0-9_=]+\(/ || signature ~ /^flatbuffers::Offset<[A-Za-z0-9_:]+> Create/ ) {
    declaration = signature
    sub(/ \{$/, ";", declaration)
    # flatc itself declares the object forms of Create and the union's verifier.
    if (signature !~ /_rehasher\) \{/ && signature !~ /VerifyPayload/)
      print declaration > header
  }
  print without_defaults(signature) > source
  while ((getline line) > 0) {
    print line > source
    if (line == "}") break
  }
  print "" > source
  next
}

/^}  \/\/ namespace ktstr/ { print > source }

{ print > header }
