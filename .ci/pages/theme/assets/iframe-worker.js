// Pages opened as files may not start workers: there, one that runs in a hidden frame takes their place, for the search.
if (location.protocol === "file:")
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.title = "search";
      document.body.append(frame);
      this.scope = frame.contentWindow;
      this.scope.addEventListener("message", () => {});
      this.scope.postMessage = (data) => this.dispatchEvent(Object.assign(new MessageEvent("message", { data })));
      this.scope.importScripts = (...urls) =>
        urls.reduce((before, src) => before.then(() => this.load(new URL(src, url).href)), Promise.resolve());
      this.load(url).then(() => {
        this.ready = true;
        this.waiting.forEach((data) => this.postMessage(data));
      });
    }
    load(src) {
      return new Promise((resolve, reject) => {
        const script = this.scope.document.createElement("script");
        script.onload = resolve;
        script.onerror = reject;
        script.src = src;
        this.scope.document.head.append(script);
      });
    }
    postMessage(data) {
      if (this.ready) this.scope.dispatchEvent(new this.scope.MessageEvent("message", { data }));
      else this.waiting.push(data);
    }
    terminate() {}
  };
