// Brings what changes into the page, and answers of the box. The page is whole without it.
'use strict';
(() => {
  const live = document.getElementById('live');
  const patience = Math.max(15, 4 * Number(document.body.dataset.every)) * 1000;
  const announce = 30000; // at most so often a screen reader hears the same headline with new figures
  let silence, spoken = 0, said = '', waiting;

  const say = (text, ok) => {
    live.firstElementChild.textContent = text;
    live.className = ok ? 'live' : 'lost';
  };
  const heard = () => {
    clearTimeout(silence);
    const time = live.querySelector('time'), now = new Date();
    time.dateTime = now.toISOString();
    time.textContent = now.toISOString().slice(11, 19) + ' UTC';
    say('live', true);
    silence = setTimeout(() => say('not live since', false), patience);
  };

  // held has the sections that wait until nobody has text in them selected.
  const held = new Map();
  const selected = section => {
    const chosen = document.getSelection();
    return chosen && !chosen.isCollapsed && section.contains(chosen.anchorNode);
  };
  document.addEventListener('selectionchange', () => {
    for (const [id, html] of [...held]) if (!selected(document.getElementById(id))) put(id, html);
  });

  // name says which element it is, so that the one with the focus is found again: its kind, address, and the name of its row.
  const name = e => [e.tagName, e.dataset.keep, e.getAttribute('href'), e.closest('tr, p, li')?.firstElementChild.textContent].join('|');

  // put replaces the content of a section. What the reader opened, scrolled or has the focus on stays.
  const put = (id, html) => {
    const section = document.getElementById(id);
    if (!section) return;
    const kept = [...section.querySelectorAll('[data-keep]')].map(e => [e.dataset.keep, e.scrollLeft, e.scrollTop]);
    const open = [...section.querySelectorAll('details[open]')].map(e => e.id);
    const focus = section.contains(document.activeElement) && name(document.activeElement);
    if (selected(section)) { // somebody copies from it
      held.set(id, html);
      return;
    }
    held.delete(id);
    section.innerHTML = html;
    for (const [keep, left, top] of kept) {
      const e = section.querySelector(`[data-keep="${keep}"]`);
      if (!e) continue;
      e.scrollLeft = left;
      e.scrollTop = top;
    }
    if (focus) [...section.querySelectorAll('a, summary, [data-keep]')].find(e => name(e) === focus)?.focus({preventScroll: true});
    for (const name of open) {
      const e = document.getElementById(name);
      if (e) e.open = true;
    }
  };

  // headline puts the first section. The same news with other figures waits, because a screen reader reads it aloud.
  const headline = html => {
    clearTimeout(waiting);
    const key = (html.match(/data-key="([^"]*)"/) || [])[1];
    const now = Date.now(), rest = spoken + announce - now;
    if (key === said && rest > 0) {
      waiting = setTimeout(() => headline(html), rest);
      return;
    }
    said = key;
    spoken = now;
    put('headline', html);
  };

  const follow = () => {
    const source = new EventSource('console/events');
    source.addEventListener('section', e => {
      heard();
      const {id, html} = JSON.parse(e.data);
      if (id === 'headline') headline(html);
      else put(id, html);
    });
    source.addEventListener('view', heard); // a new view, even if no section changed
    source.onerror = () => {
      say('not live since', false);
      if (source.readyState === EventSource.CLOSED) setTimeout(follow, 30000); // no place for one more viewer
    };
  };
  follow();

  const form = document.querySelector('#explain form'), answer = document.getElementById('answer');
  form.addEventListener('submit', async e => {
    e.preventDefault();
    answer.setAttribute('aria-busy', 'true');
    const query = new URLSearchParams(new FormData(form));
    try {
      const response = await fetch('console/explain?' + query, {headers: {Accept: 'text/html'}, signal: AbortSignal.timeout(15000)});
      if (!response.ok) throw new Error(await response.text());
      answer.innerHTML = await response.text();
    } catch (fault) {
      answer.textContent = 'No answer: ' + fault.message;
    }
    answer.removeAttribute('aria-busy');
  });
})();
