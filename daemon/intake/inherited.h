// daemon/intake/inherited.h — what the service manager kept from the last process for this one.
#pragma once

#include "daemon/base/passed_sockets.h"
#include "daemon/intake/kept_connections.h"

namespace outboxd {

struct Inherited {
  PassedSockets sockets;
  KeptConnections* connections = nullptr;  // null: nobody keeps connections; outlives the daemon's parts
};

}  // namespace outboxd
