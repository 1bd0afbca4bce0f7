#include "schemas/test_spec.h"

#include <gtest/gtest.h>
