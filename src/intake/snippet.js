// The snippet for pages without a tracking library: what a page tells, told by the Segment tracking API.
// docs/snippet.md says what is sent, and what is stored when. Served without its comments, which stand on lines of
// their own.
(() => {
  const script = document.currentScript || document.querySelector("script[data-write-key]");
  const stub = window.espalier;
  // Once is enough, however often the page has it.
  if (!script || (stub && stub.on)) return;
  const options = script.dataset;
  const target = new URL("v1/batch", script.src).href;

  const OURS = "espalier.";
  const ID = OURS + "id";
  const SESSION = OURS + "session";
  const QUEUE = OURS + "queue.";
  const SILENCE = 18e5;
  const DAY = 864e5;

  // Hex, by what pages without TLS have too.
  const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => (b + 256).toString(16).slice(1)).join("");
  // An edge: nothing of ours breaks the page.
  const safely = (f) => (...given) => {
    try {
      f(...given);
    } catch (_) {}
  };
  const here = () => location.href.split("#")[0];

  // Ids and unsent messages: in memory, and from consent on in localStorage, which can be used like an object.
  let box;
  let isHeld = options.consent === "required";
  let isOff = false;
  const forget = () => (box = { [ID]: random() });
  const ours = (store, prefix) => Object.keys(store).filter((key) => key.startsWith(prefix));
  const put = (key, value) => {
    try {
      box[key] = value;
    } catch (_) {
      // The site's storage is full: memory will do.
      box = Object.fromEntries(ours(box, OURS).map((known) => [known, box[known]]));
      box[key] = value;
    }
  };

  // The cookie is only for who asks for it; its domain, where it has one, is the attribute's value.
  const cookie = (seconds) => {
    if (options.cookie == null) return;
    const domain = options.cookie && ";domain=" + options.cookie;
    const secure = location.protocol === "https:" ? ";secure" : "";
    document.cookie = `espalier_id=${box[ID]};path=/;samesite=lax;max-age=${seconds}${domain}${secure}`;
  };
  // The id that says that consent was given before.
  const known = () => {
    const found = options.cookie == null || document.cookie.match(/(?:^|; )espalier_id=(\w+)/);
    return (found && found[1]) || localStorage[ID];
  };

  const allow = () => {
    const wasOff = isOff;
    isHeld = isOff = false;
    try {
      const store = localStorage;
      if (box !== store) {
        const id = known();
        if (id) Object.assign(box, { [ID]: id }, store[SESSION] && { [SESSION]: store[SESSION] });
        Object.assign(store, box);
        box = store;
      }
    } catch (_) {}
    cookie(31536e3);
    if (wasOff) again();
    soon();
  };
  const refuse = () => {
    isOff = true;
    forget();
    cookie(0);
    ours(localStorage, OURS).forEach((key) => delete localStorage[key]);
  };

  // A page in view is no silence. Asked with every message, so that all tabs are of one session.
  let isVisible = false;
  const session = (now) => {
    const [id, last] = (box[SESSION] || "").split(".");
    const kept = id && (isVisible || now - last < SILENCE) ? id : random();
    put(SESSION, kept + "." + now);
    return kept;
  };

  // Together with what is said in the same breath.
  let timer = 0;
  const soon = () => (timer = timer || setTimeout(safely(flush), 100));

  let count = 0;
  const send = (type, fields) => {
    // Without its id, consent was taken back in another tab.
    if (!isOff && !box[ID]) refuse();
    if (isOff) return;
    const now = Date.now();
    // Ids sort by time. Each message has a key of its own, so that tabs do not overwrite one another's.
    const messageId = now * 1e3 + (count++ % 1e3) + "-" + random();
    const said = { type, messageId, anonymousId: box[ID], originalTimestamp: new Date(now).toISOString() };
    const text = JSON.stringify({ ...said, context: { sessionId: session(now) }, ...fields });
    if (text.length > 16e3) return;
    put(QUEUE + messageId, text);
    soon();
  };

  // Keys of unsent messages, oldest first. What is too old, or too much, goes.
  const waiting = () => {
    let size = 0;
    const fits = (key, place) => {
      const age = Date.now() - key.slice(QUEUE.length).slice(0, 13);
      const fit = place < 100 && (size += (box[key] || "").length) <= 1e5 && Math.abs(age) < DAY;
      if (!fit) delete box[key];
      return fit;
    };
    return ours(box, QUEUE).sort().reverse().filter(fits).reverse();
  };

  // A message stays until its answer comes: a beacon has none, so the next page sends it again, with the same id.
  let quiet = 0;
  let wait = 0;
  let gone;
  const flush = (isLeaving) => {
    clearTimeout(timer);
    timer = 0;
    const now = Date.now();
    const all = isHeld || isOff ? [] : waiting();
    // 20,000 characters are under the 64 KB that may be under way from a page that is left.
    let size = 0;
    const keys = all.filter((key) => (size += box[key].length) < 2e4);
    const last = keys[keys.length - 1];
    if (!last || (isLeaving && last === gone)) return;
    if (!isLeaving && now < quiet) {
      timer = setTimeout(safely(flush), quiet - now);
      return;
    }
    const context = { timezone: Intl.DateTimeFormat().resolvedOptions().timeZone };
    const around = JSON.stringify({ writeKey: options.writeKey, sentAt: new Date(now).toISOString(), context });
    // A text is text/plain, which needs no preflight.
    const body = `${around.slice(0, -1)},"batch":[${keys.map((key) => box[key])}]}`;
    if (isLeaving) {
      gone = last;
      if (navigator.sendBeacon && navigator.sendBeacon(target, body)) return;
    }
    quiet = now + 2e4;
    fetch(target, { method: "POST", body, keepalive: true, credentials: "omit" })
      .then(({ ok, status }) => {
        // What is wrong now will be wrong later too.
        if (!ok && (status < 400 || status > 499 || status === 408 || status === 429)) throw status;
        keys.forEach((key) => delete box[key]);
        quiet = wait = 0;
        flush();
      })
      .catch(safely(() => {
        wait = Math.min(wait * 2 || 5e3, 3e5);
        quiet = Date.now() + wait * (0.5 + Math.random());
        flush();
      }));
  };

  // What is looked at: the page, and its product. Each has the milliseconds that it was visible.
  let views = [];
  const view = (about, repeat) => ({ id: random(), from: performance.now(), ms: 0, told: 0, about, repeat });
  const report = (some) => {
    const now = performance.now();
    some.forEach((one) => {
      if (isVisible) one.ms += now - one.from;
      one.from = now;
      const seconds = Math.round(one.ms / 100) / 10;
      // How long in all, so that the largest counts however often it is told.
      if (seconds - one.told < 1) return;
      one.told = seconds;
      send("track", { event: "Page Left", properties: { ...one.about, view_id: one.id, dwell_seconds: seconds } });
    });
  };
  // Back after half an hour, or by the back button: that is another view.
  const again = () => views.slice().forEach((one) => one.repeat());

  let url;
  let referrer = document.referrer;
  const page = (name, properties) => {
    report(views);
    referrer = url || referrer;
    url = here();
    const { pathname: path, search } = location;
    const one = view({ path }, () => page(name, properties));
    views = [one];
    const said = { url, path, search, referrer, title: document.title, ...properties };
    send("page", { name, properties: { ...said, view_id: one.id } });
  };
  const product = (given) => {
    report(views.slice(1));
    const one = view({ product_id: given.product_id }, () => product(given));
    one.given = given;
    views[1] = one;
    track("Product Viewed", { url: here(), ...given, view_id: one.id });
  };
  const track = (event, properties) => send("track", { event, properties });
  // Without an id the product in view is meant.
  const addToCart = (given) => {
    const seen = given && given.product_id ? {} : (views[1] || {}).given;
    track("Product Added", { quantity: 1, ...seen, ...given });
  };
  const identify = (userId, traits) =>
    send("identify", typeof userId === "object" ? { traits: userId } : { userId, traits });
  const consent = (isGiven) => (isGiven ? allow() : refuse());
  const calls = { page, product, track, addToCart, identify, consent };

  let isLeft = false;
  const turn = safely(({ type }) => {
    const isHidden = document.visibilityState === "hidden";
    if (type === "pagehide" || (isHidden && isVisible)) {
      report(views);
      isVisible = false;
      isLeft = type === "pagehide";
      flush(true);
    } else if (!isHidden && !isVisible) {
      if (isLeft || Date.now() - (box[SESSION] || "").split(".")[1] >= SILENCE) again();
      isLeft = false;
      isVisible = true;
      views.forEach((one) => (one.from = performance.now()));
      soon();
    }
  });

  // The page's title is not known yet when the address changes.
  const move = safely(() => here() !== url && page(undefined, { title: undefined }));
  const follow = () => {
    page();
    const push = history.pushState;
    history.pushState = function (...given) {
      push.apply(this, given);
      move();
    };
    addEventListener("popstate", move);
  };

  const start = safely(() => {
    forget();
    safely(() => known() && allow())();
    const early = espalier.q;
    const isConsent = ([name]) => name === "consent";
    espalier.q = { push: safely(([name, ...given]) => calls[name](...given)) };
    // A no comes before all else: what is stored at all, another tab may send.
    early.filter(isConsent).forEach(espalier.q.push);
    if (options.page !== "manual") follow();
    early.filter((call) => !isConsent(call)).forEach(espalier.q.push);
    turn({});
    document.addEventListener("visibilitychange", turn);
    addEventListener("pagehide", turn);
    addEventListener("pageshow", turn);
    addEventListener("online", safely(() => {
      quiet = wait = 0;
      flush();
    }));
  });

  const espalier = (window.espalier = (...given) => {
    espalier.q.push(given);
  });
  espalier.on = true;
  espalier.q = (stub && stub.q) || [];
  // What is rendered ahead is not seen until it is shown.
  if (document.prerendering) document.addEventListener("prerenderingchange", start, { once: true });
  else start();
})();
