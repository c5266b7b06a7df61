// Segment's library for Node, unmodified, with only the host changed.
// node segment.mjs HOST WRITE_KEY PREFIX: sends the six kinds of message once, and fails if the library reports an error.

import { Analytics } from "@segment/analytics-node";

const [host, writeKey, prefix] = process.argv.slice(2);
const errors = [];
const analytics = new Analytics({ writeKey, host, maxRetries: 1, flushAt: 4 }).on("error", (error) => errors.push(error));

const userId = `${prefix}-user`;
const anonymousId = `${prefix}-anonymous`;
analytics.identify({ userId, anonymousId, traits: { email: `${prefix}@example.com`, plan: "gold" } });
analytics.track({ userId, event: "Product Added", properties: { cart_id: `${prefix}-cart`, product_id: "p1", price: 19.9 } });
analytics.page({ anonymousId, category: "Shop", name: "Home", properties: { path: "/" } });
analytics.screen({ userId, name: "Cart" });
analytics.group({ userId, groupId: "g1", traits: { name: "Acme" } });
analytics.alias({ userId: `${prefix}-new`, previousId: userId });
await analytics.closeAndFlush({ timeout: 20_000 });

for (const error of errors) console.error(error.code, error.reason?.message ?? error.reason);
process.exit(errors.length > 0 ? 1 : 0);
