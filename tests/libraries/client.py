"""Segment's library for Python, unmodified, with only the host changed. As segment.mjs."""

import sys

from segment.analytics.client import Client

host, write_key, prefix = sys.argv[1:]
errors = []
analytics = Client(write_key, host=host, max_retries=1, gzip=True, on_error=lambda error, _: errors.append(error))

user = f"{prefix}-user"
anonymous = f"{prefix}-anonymous"
analytics.identify(user, {"email": f"{prefix}@example.com", "plan": "gold"}, anonymous_id=anonymous)
analytics.track(user, "Product Added", {"cart_id": f"{prefix}-cart", "product_id": "p1", "price": 19.9})
analytics.page(anonymous_id=anonymous, category="Shop", name="Home", properties={"path": "/"})
analytics.screen(user, name="Cart")
analytics.group(user, "g1", {"name": "Acme"})
analytics.alias(user, f"{prefix}-new")
analytics.flush()
analytics.shutdown()

for error in errors:
    print(error, file=sys.stderr)
sys.exit(1 if errors else 0)
