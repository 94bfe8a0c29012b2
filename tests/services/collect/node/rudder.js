// Calls of @rudderstack/rudder-sdk-node, gzipped and labelled as a form; prints the ids that the SDK gave them.
const RudderAnalytics = require("@rudderstack/rudder-sdk-node");

const [host, writeKey, rounds] = process.argv.slice(2);
const analytics = new RudderAnalytics(writeKey, {
  dataPlaneUrl: host, flushAt: 10, flushInterval: 100, gzip: true, maxFlushSizeInBytes: 400000, logLevel: "error",
});

const done = [];
const sent = (method, call) => {
  const messageId = `${method}-${done.length}`;
  console.log(JSON.stringify({ ...call, type: method, messageId }));
  done.push(new Promise((ends) => analytics[method]({ ...call, messageId }, ends)));
};

(async () => {
  for (let n = 0; n < Number(rounds); n++) {
    const userId = `ann-${n}`;
    sent("identify", { userId, traits: { plan: "pro", name: "安娜" } });
    sent("track", { userId, event: "Order Completed", properties: { total: 19.9 } });
    sent("page", { userId, name: "Start", properties: { path: "/start" } });
    sent("screen", { userId, name: "Home" });
    sent("group", { userId, groupId: "acme", traits: { seats: 3 } });
    sent("alias", { userId, previousId: `old-${n}` });
    sent("track", { anonymousId: `visitor-${n}`, event: "Seen" });
    await new Promise((next) => setTimeout(next, 50));
  }
  await analytics.flush();
  await new Promise((next) => setTimeout(next, 200));
  process.exit();
})();
