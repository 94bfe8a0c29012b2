"""HTTP services before the transforms: plain ASGI applications, without Beam."""
