// daemon/base/process_usage.h — what this process uses of the machine, for the metrics; 0 where it cannot be
// read.
#pragma once

namespace outboxd {

double ProcessCpuSeconds();  // user and system
double ProcessResidentBytes();
double ProcessOpenDescriptors();

}  // namespace outboxd
