// A browser starts no worker for a page that was opened from the disk. There, and there alone, what would be a worker (the
// site's search) runs in a hidden frame of the page. As between a page and its worker, messages are copied, and come later.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    #frame = document.createElement("iframe");
    #ready;

    constructor(address) {
      super();
      this.#frame.hidden = true;
      document.documentElement.append(this.#frame);
      const inside = this.#frame.contentWindow;
      inside.postMessage = (sent) => {
        const message = new MessageEvent("message", { data: structuredClone(sent) });
        setTimeout(() => {
          this.onmessage?.(message);
          this.dispatchEvent(message);
        });
      };
      this.#ready = new Promise((done) => {
        const script = this.#frame.contentDocument.createElement("script");
        script.src = new URL(address, location);
        script.onload = done;
        this.#frame.contentDocument.head.append(script);
      });
    }

    postMessage(sent) {
      const inside = this.#frame.contentWindow;
      const data = structuredClone(sent);
      this.#ready.then(() => setTimeout(() => inside.dispatchEvent(new inside.MessageEvent("message", { data }))));
    }

    terminate() {
      this.#frame.remove();
    }
  };
}
