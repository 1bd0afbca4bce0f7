// Every table of the schemas (share/ktstr/schemas), as flatc declares it. Their functions are in libktstr_client.
#pragma once

#include "ktstr/schemas/client_generated.h"
#include "ktstr/schemas/crash_generated.h"
#include "ktstr/schemas/event_generated.h"
#include "ktstr/schemas/guest_generated.h"
#include "ktstr/schemas/monitor_generated.h"
#include "ktstr/schemas/repro_generated.h"
#include "ktstr/schemas/run_generated.h"
