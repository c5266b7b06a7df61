//! The listening edge: tracking API, webhooks, custom endpoints, files.
