'use strict';
// The page says by itself that it is stale, when its writer or the network is gone.
(() => {
  const page = document.documentElement;
  const written = Date.parse(page.dataset.written);
  const look = () => {
    if (Date.now() - written <= page.dataset.stale * 1000) return;
    page.classList.add('old');
    document.title = 'Stale: the state is unknown';
  };
  look();
  setInterval(look, 5000);
})();
