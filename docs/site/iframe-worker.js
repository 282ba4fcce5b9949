// A browser starts no worker for a page that was opened from the disk. There, and there alone, what would be a worker (the
// site's search) runs in a hidden frame of the page, and the two talk as a page and its worker do.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    #frame = document.createElement("iframe");
    #ready;

    constructor(address) {
      super();
      this.#frame.hidden = true;
      document.documentElement.append(this.#frame);
      const inside = this.#frame.contentWindow;
      inside.postMessage = (data) => {
        const message = new MessageEvent("message", { data });
        this.onmessage?.(message);
        this.dispatchEvent(message);
      };
      this.#ready = new Promise((done) => {
        const script = this.#frame.contentDocument.createElement("script");
        script.src = address;
        script.onload = done;
        this.#frame.contentDocument.head.append(script);
      });
    }

    postMessage(data) {
      const inside = this.#frame.contentWindow;
      this.#ready.then(() => inside.dispatchEvent(new inside.MessageEvent("message", { data })));
    }

    terminate() {
      this.#frame.remove();
    }
  };
}
