"""The log reception API: calls of Segment's and RudderStack's SDKs in, durable messages out."""
