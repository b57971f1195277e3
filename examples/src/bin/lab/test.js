'use strict';
// Uses the page as a visitor would, and reports to the lab. `ticks` and `$` are the page's.
(async () => {
  const done = [];
  const wait = ms => new Promise(resolve => setTimeout(resolve, ms));
  async function until(what, holds) {
    for (let n = 0; n < 200; n++) {
      if (holds()) { done.push(what); return; }
      await wait(50);
    }
    throw new Error('not within 10 s: ' + what);
  }
  const check = (what, holds) => {
    if (!holds) throw new Error('not so: ' + what);
    done.push(what);
  };
  const now = () => ticks.at(-1);
  // The mean of the last second.
  const recent = read => ticks.slice(-4).reduce((sum, tick) => sum + read(tick), 0) / 4;
  const move = (id, value) => {
    $(id).value = value;
    $(id).dispatchEvent(new Event('input', { bubbles: true }));
  };
  const key = letter => document.dispatchEvent(new KeyboardEvent('keydown', { key: letter, bubbles: true }));
  const curve = id => $('plot-' + id).innerHTML;

  try {
    await until('the curves appear', () => ticks.length > 8 && curve('queries').includes('L'));
    check('every control has a label', [...document.querySelectorAll('input')].every(input => input.labels.length === 1));
    check('every plot is drawn', [...document.querySelectorAll('svg')].every(svg => svg.childElementCount > 3));

    const before = curve('stairs');
    move('rate', toPosition(1200));
    await until('the rate slider makes more requests', () => recent(tick => tick.requests) > 900);
    await until('plain needs more queries than piggyback', () => recent(tick => tick.plain.queries) > 1.2 * recent(tick => tick.piggyback.queries));
    check('the curves react', curve('stairs') !== before);
    await until('plain waits longer', () => recent(tick => tick.plain.p50 ?? 0) > recent(tick => tick.piggyback.p50 ?? 0));
    await until('plain refuses requests', () => recent(tick => tick.plain.refused) > 0);

    move('size', 50);
    await until('the size slider makes larger batches', () => now().piggyback.inserts.some(rows => rows > 10));
    $('eager').click();
    await until('eager can be switched on', () => $('eager').checked && now().piggyback.answered > 0);

    move('rate', toPosition(400));
    move('skew', 300);
    await until('the refusals end', () => recent(tick => tick.plain.refused) === 0);
    for (let n = 0; n < 20 && now().piggyback.takeovers === 0; n++) {
      document.querySelector('[data-press=drop]').click();
      await wait(100);
    }
    await until('another caller takes over from a dropped leader', () => now().piggyback.takeovers > 0);

    key('b');
    await until('one bad row fails one caller of each', () => ['plain', 'piggyback'].every(side =>
      ticks.reduce((sum, tick) => sum + tick[side].failed, 0) === 1));

    key('p');
    await until('the database stands still', () => recent(tick => tick.piggyback.answered) === 0);
    await until('requests wait', () => now().piggyback.waiting > 50);
    check('the button is pressed', document.querySelector('[data-press=pause]').getAttribute('aria-pressed') === 'true');
    key('p');
    await until('it continues', () => recent(tick => tick.piggyback.answered) > 100);

    const phone = Object.assign(document.createElement('iframe'), { src: './', width: 360, height: 640 });
    document.body.append(phone);
    await until('the page fits a phone', () => {
      const root = phone.contentDocument?.documentElement;
      return root?.querySelector('svg path.line') && root.scrollWidth <= 360;
    });
    phone.remove();
    await fetch('tested', { method: 'POST', body: 'ok: ' + done.join('; ') });
  } catch (error) {
    await fetch('tested', { method: 'POST', body: `${error.message}\nbefore: ${done.join('; ')}` });
  }
})();
