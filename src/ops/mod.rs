//! What people see: health, metrics, status page, explain. Reads all, changes nothing by itself.
