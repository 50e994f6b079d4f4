// Search on a page that was opened from the disk. Browsers start no worker there, so that the theme's search runs in a hidden
// frame of the page instead. Where there is a server, this does nothing.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      const frame = Object.assign(document.createElement("iframe"), {hidden: true, title: "Search"});
      document.body.append(frame);
      this.inner = frame.contentWindow;
      this.inner.postMessage = data => this.dispatchEvent(new MessageEvent("message", {data}));
      this.ready = new Promise((done, failed) => {
        const script = Object.assign(this.inner.document.createElement("script"), {src: address, onload: done, onerror: failed});
        this.inner.document.head.append(script);
      });
    }
    postMessage(data) {
      this.ready.then(() => this.inner.dispatchEvent(new MessageEvent("message", {data})));
    }
  };
}
