// Walks the account pages of a running server in headless Chromium, at desktop
// and at phone width, with page scripts switched off, and checks every page
// state it meets. Prints one line per step that held; exits with 1 when one
// did not.
//
//   JHE_URL        where the server answers            (http://localhost:8000)
//   MAIL_DIR       where the server writes its .eml    (./mail)
//   SCREENSHOTS    where the pictures go               (./screenshots)
//   CHROMIUM       the browser to start                (/usr/bin/chromium)
//   JHE_CLIENT_ID  a public client that does not skip consent, whose redirect
//                  URI is http://127.0.0.1/cb; without it that step is skipped
//   INVITE_CODE    the code sign-up asks for           (jhe)
//   STRICT         1: what is only noted fails as well
//
// Accounts are made by signing up, so it can run again on the same server.

import { createServer } from 'node:http';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const BASE = (process.env.JHE_URL || 'http://localhost:8000').replace(/\/+$/, '');
const MAIL_DIR = process.env.MAIL_DIR || 'mail';
const SHOTS = process.env.SCREENSHOTS || 'screenshots';
const CHROMIUM = process.env.CHROMIUM || '/usr/bin/chromium';
const CLIENT_ID = process.env.JHE_CLIENT_ID || '';
const INVITE = process.env.INVITE_CODE || 'jhe';
const STRICT = process.env.STRICT === '1';
const ORIGIN = new URL(BASE).origin;

const RUN = randomBytes(4).toString('hex');
const WIDTHS = [
  { name: 'desktop', options: { viewport: { width: 1280, height: 800 } } },
  {
    name: 'phone',
    options: {
      viewport: { width: 375, height: 667 },
      deviceScaleFactor: 2,
      isMobile: true,
      hasTouch: true,
    },
  },
];

let held = 0;
const failures = [];
const notes = new Map();

function ok(line) {
  held += 1;
  console.log(`ok    ${line}`);
}

function fail(line) {
  failures.push(line);
  console.log(`FAIL  ${line}`);
}

function note(what, where) {
  if (!notes.has(what)) notes.set(what, new Set());
  notes.get(what).add(where);
}

function must(condition, message) {
  if (!condition) throw new Error(message);
}

// ---------------------------------------------------------------- mail

function decodePart(text) {
  const cut = text.search(/\r?\n\r?\n/);
  const head = cut < 0 ? '' : text.slice(0, cut).replace(/\r?\n[ \t]+/g, ' ');
  const body = cut < 0 ? text : text.slice(cut).replace(/^\r?\n\r?\n/, '');
  const boundary = /boundary="?([^";\r\n]+)"?/i.exec(head);
  if (boundary) {
    return body
      .split(`--${boundary[1]}`)
      .slice(1)
      .filter((part) => !part.startsWith('--'))
      .map((part) => decodePart(part.replace(/^\r?\n/, '')))
      .join('\n');
  }
  const encoding = (/^content-transfer-encoding:\s*(\S+)/im.exec(head) || [])[1] || '7bit';
  if (/^base64$/i.test(encoding)) return Buffer.from(body, 'base64').toString('utf8');
  if (/^quoted-printable$/i.test(encoding)) {
    const bytes = body
      .replace(/=[ \t]*\r?\n/g, '')
      .replace(/=([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
    return Buffer.from(bytes, 'latin1').toString('utf8');
  }
  return body;
}

const readMail = new Set();

// The newest unread letter to `to` whose text holds `pattern`; its match.
async function mail(to, pattern) {
  const until = Date.now() + 20_000;
  while (Date.now() < until) {
    for (const name of readdirSync(MAIL_DIR).filter((n) => n.endsWith('.eml'))) {
      if (readMail.has(name)) continue;
      const raw = readFileSync(join(MAIL_DIR, name), 'utf8');
      if (!/\r?\n\r?\n/.test(raw)) continue;
      const head = raw.split(/\r?\n\r?\n/)[0];
      if (!head.toLowerCase().includes(to.toLowerCase())) continue;
      const match = pattern.exec(decodePart(raw));
      if (!match) continue;
      readMail.add(name);
      return match;
    }
    await new Promise((wake) => setTimeout(wake, 250));
  }
  throw new Error(`no mail to ${to} that holds ${pattern}`);
}

// ---------------------------------------------------------------- another site

// What an app's own address would be: it receives the browser after consent,
// and links to the server from another site.
async function startApp() {
  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://127.0.0.1');
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(
      url.pathname === '/link'
        ? `<!DOCTYPE html><html lang="en"><title>App</title><a id="go" href="${BASE}${url.searchParams.get('to')}">go</a>`
        : '<!DOCTYPE html><html lang="en"><title>App</title><h1>Back at the app</h1>',
    );
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return { server, origin: `http://127.0.0.1:${server.address().port}` };
}

// ---------------------------------------------------------------- what runs in the page

// Everything about a page that can be read from its DOM and computed styles.
function inspect() {
  const visible = (node) => {
    const box = node.getBoundingClientRect();
    const style = getComputedStyle(node);
    return box.width > 0 && box.height > 0 && style.visibility !== 'hidden' && style.display !== 'none';
  };
  const describe = (node) => {
    const name = node.tagName.toLowerCase();
    const id = node.id ? `#${node.id}` : '';
    const cls = node.className && typeof node.className === 'string' ? `.${node.className.trim().replace(/\s+/g, '.')}` : '';
    const text = (node.textContent || '').trim().replace(/\s+/g, ' ').slice(0, 30);
    return `${name}${id}${cls}${text ? ` "${text}"` : ''}`;
  };
  const parse = (value) => {
    const rgb = /^rgba?\(([^)]+)\)$/.exec(value);
    if (rgb) {
      const [r, g, b, a] = rgb[1].split(/[\s,/]+/).map(Number);
      return [r, g, b, a === undefined ? 1 : a];
    }
    const srgb = /^color\(srgb ([^)]+)\)$/.exec(value);
    if (srgb) {
      const [r, g, b, a] = srgb[1].split(/[\s/]+/).map(Number);
      return [r * 255, g * 255, b * 255, a === undefined ? 1 : a];
    }
    return null;
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const canvas = matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18, 1] : [255, 255, 255, 1];
  const background = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour && colour[3] > 0) {
        layers.push(colour);
        if (colour[3] === 1) break;
      }
    }
    return layers.reverse().reduce((under, layer) => over(layer, under), canvas);
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((part) => {
      const c = part / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, two) => {
    const [high, low] = [luminance(one), luminance(two)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };

  const faults = [];
  const remarks = [];

  const headings = [...document.querySelectorAll('h1')].filter(visible);
  if (headings.length !== 1) faults.push(`${headings.length} h1`);
  if (!document.documentElement.lang) faults.push('no lang');
  if (!document.title.trim()) faults.push('no title');
  if (document.querySelectorAll('main').length !== 1) faults.push('not one main');
  const ids = [...document.querySelectorAll('[id]')].map((node) => node.id);
  for (const id of new Set(ids)) {
    if (ids.filter((other) => other === id).length > 1) faults.push(`id ${id} twice`);
  }

  const fields = [...document.querySelectorAll('input:not([type=hidden]), select, textarea')].filter(visible);
  for (const field of fields) {
    const labelled =
      (field.labels && [...field.labels].some((label) => label.textContent.trim())) ||
      (field.getAttribute('aria-label') || '').trim() ||
      (field.getAttribute('aria-labelledby') || '').split(/\s+/).some((id) => id && document.getElementById(id));
    if (!labelled) faults.push(`${describe(field)} has no label`);
    for (const id of (field.getAttribute('aria-describedby') || '').split(/\s+/).filter(Boolean)) {
      if (!document.getElementById(id)) faults.push(`${describe(field)} is described by ${id}, which is not there`);
    }
    if (parseFloat(getComputedStyle(field).fontSize) < 16) remarks.push('a field under 16px: iOS zooms into it');
  }

  const errors = [...document.querySelectorAll('.error, .errors, .errorlist')].filter(visible);
  for (const error of errors) {
    const tied =
      error.closest('[role=alert]') ||
      fields.some((field) =>
        `${field.getAttribute('aria-describedby') || ''} ${field.getAttribute('aria-errormessage') || ''}`
          .split(/\s+/)
          .some((id) => id && document.getElementById(id) && document.getElementById(id).contains(error)),
      );
    if (!tied) faults.push(`${describe(error)} is neither an alert nor tied to a field`);
  }
  // A list with a role of its own is no list any more, and its items are lost.
  for (const item of document.querySelectorAll('li')) {
    const list = item.parentElement;
    const role = list.getAttribute('role');
    if (!['UL', 'OL', 'MENU'].includes(list.tagName) || (role && role !== 'list')) {
      faults.push(`${describe(item)} is an item of no list`);
      break;
    }
  }
  if (errors.length > 0 && fields.length > 0 && !document.querySelector('[aria-invalid=true]')) {
    remarks.push('an error is shown, and no field is aria-invalid');
  }

  for (const node of document.querySelectorAll('button, .links a, .actions a')) {
    if (!visible(node)) continue;
    const box = node.getBoundingClientRect();
    if (box.width < 24 || box.height < 23.99) {
      faults.push(`${describe(node)} is ${box.width.toFixed(1)}x${box.height.toFixed(1)}`);
    }
    if (node.scrollWidth > node.clientWidth + 1 && node.tagName === 'BUTTON') faults.push(`${describe(node)} cuts its text`);
    if (node.tagName === 'BUTTON' && box.height > 60) remarks.push(`button "${node.textContent.trim()}" breaks into lines`);
  }
  for (const node of document.querySelectorAll('a')) {
    if (!visible(node) || node.closest('.links, .actions')) continue;
    const box = node.getBoundingClientRect();
    if (box.height < 24) remarks.push(`links outside .links are ${box.height.toFixed(0)}px high`);
  }
  const targets = [...document.querySelectorAll('a, button, input:not([type=hidden])')].filter(visible);
  for (let i = 0; i < targets.length; i += 1) {
    for (let j = i + 1; j < targets.length; j += 1) {
      const a = targets[i].getBoundingClientRect();
      const b = targets[j].getBoundingClientRect();
      const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (x > 1 && y > 1) faults.push(`${describe(targets[i])} overlaps ${describe(targets[j])}`);
    }
  }

  const seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    if (text.data.trim() && text.parentElement && visible(text.parentElement)) seen.add(text.parentElement);
  }
  for (const field of fields) seen.add(field);
  for (const node of seen) {
    if (node.tagName === 'NOSCRIPT' || node.closest('script, style')) continue;
    const ground = background(node);
    const ink = parse(getComputedStyle(node).color);
    if (!ink) {
      faults.push(`${describe(node)}: colour ${getComputedStyle(node).color} not understood`);
      continue;
    }
    const found = ratio(over(ink, ground), ground);
    if (found < 4.5) faults.push(`${describe(node)}: contrast ${found.toFixed(2)}`);
  }
  for (const node of [...fields, ...[...document.querySelectorAll('button')].filter(visible)]) {
    const style = getComputedStyle(node);
    const ground = background(node.parentElement);
    const line = parse(style.borderTopColor);
    const edge = line && parseFloat(style.borderTopWidth) > 0 ? ratio(over(line, ground), ground) : 1;
    const fill = ratio(background(node), ground);
    if (Math.max(edge, fill) < 3) {
      remarks.push(`the edge of ${node.tagName === 'BUTTON' ? 'buttons' : 'fields'} has contrast ${Math.max(edge, fill).toFixed(2)} to the page (WCAG 1.4.11: 3)`);
    }
  }

  const width = document.documentElement.clientWidth;
  const wide = document.documentElement.scrollWidth;
  return { faults, remarks, width, wide, title: document.title, fields: fields.length };
}

function focused() {
  const at = document.activeElement;
  const fields = [...document.querySelectorAll('input:not([type=hidden]), select, textarea')].filter((node) => node.getBoundingClientRect().height > 0);
  // After a refusal a person begins with what is wrong.
  const first = fields.find((node) => node.getAttribute('aria-invalid') === 'true') ?? fields[0];
  if (!at || at === document.body) return { any: false, first: !first };
  const style = getComputedStyle(at);
  return {
    any: true,
    first: first ? at === first : true,
    ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1,
    tag: at.tagName.toLowerCase(),
  };
}

// ---------------------------------------------------------------- one walk

class Walk {
  constructor(browser, width, app) {
    this.browser = browser;
    this.width = width;
    this.app = app;
    this.number = 0;
    this.shown = new Set();
    this.statusAllowed = 0;
    this.contexts = [];
    this.account = `${width.name}-${RUN}@example.com`;
    // Nothing of the address in them: the server refuses what is like it.
    const secret = () => `Ot-${randomBytes(9).toString('base64url')}-7k`;
    this.password = secret();
    this.second = secret();
    this.third = secret();
  }

  at(line) {
    return `${this.width.name}: ${line}`;
  }

  async open(scripts = false) {
    const context = await this.browser.newContext({
      ...this.width.options,
      javaScriptEnabled: scripts,
      colorScheme: 'light',
      reducedMotion: 'reduce',
      locale: 'en-GB',
    });
    this.contexts.push(context);
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    page.on('request', (request) => {
      const url = request.url();
      if (url.startsWith('data:') || url.startsWith('blob:')) return;
      const { origin } = new URL(url);
      if (origin === this.app.origin) return;
      if (origin !== ORIGIN) fail(this.at(`a request to another origin: ${url}`));
    });
    page.on('console', (message) => {
      if (message.type() !== 'error' && message.type() !== 'warning') return;
      const text = message.text();
      const where = message.location().url || '';
      // The browser's own line about a page that was meant to answer with an error.
      if (/^Failed to load resource/.test(text) && where === page.url()) return;
      if (where.startsWith(this.app.origin)) return;
      fail(this.at(`console ${message.type()} at ${page.url()}: ${text} (${where})`));
    });
    page.on('pageerror', (error) => fail(this.at(`page error at ${page.url()}: ${error.message}`)));
    page.on('dialog', (dialog) => {
      fail(this.at(`a dialog at ${page.url()}: ${dialog.message()}`));
      dialog.dismiss().catch(() => {});
    });
    return page;
  }

  async close() {
    for (const context of this.contexts.splice(0)) await context.close();
  }

  async step(line, body) {
    const before = failures.length;
    try {
      await body();
      if (failures.length === before) ok(this.at(line));
      else console.log(`      ${this.at(line)}: went through, with the failures above`);
    } catch (error) {
      fail(this.at(`${line}: ${String(error.message).split('\n').slice(0, 3).join(' | ')}`));
    }
  }

  async go(page, path, status = 200) {
    const response = await page.goto(path.startsWith('http') ? path : BASE + path);
    must(response.status() === status, `GET ${path} answered ${response.status()}, not ${status}`);
    return response;
  }

  async press(page, name) {
    const [response] = await Promise.all([
      page.waitForNavigation({ waitUntil: 'load' }),
      page.getByRole('button', { name, exact: true }).first().click(),
    ]);
    return response;
  }

  async fill(page, values) {
    for (const [label, value] of Object.entries(values)) {
      await page.getByLabel(label, { exact: true }).fill(value);
    }
  }

  async says(page, text, within = 'body') {
    const found = (await page.locator(within).allInnerTexts()).join('\n').replace(/\s+/g, ' ');
    must(found.includes(text), `"${text}" is not in ${within} at ${page.url()}: ${found.slice(0, 200)}`);
  }

  async heading(page, text) {
    const found = (await page.locator('h1').first().innerText()).trim();
    must(found === text, `the heading is "${found}", not "${text}"`);
  }

  // One page state: looked at, checked and photographed.
  async state(page, name) {
    const where = this.at(name);
    const fault = (what) => fail(`${where}: ${what}`);

    // Keyboard first: what has focus when the page opens, or after one Tab.
    let focus = await page.evaluate(focused);
    if (!focus.any || !focus.first) {
      if (focus.any) note('a page opens with the focus on something other than its first field', where);
      await page.keyboard.press('Tab');
      focus = await page.evaluate(focused);
    }
    if (!focus.first) fault('the first field is not reached by one Tab');
    if (focus.any && !focus.ring) fault(`no focus ring on ${focus.tag}`);

    const pictures = !this.shown.has(name);
    if (pictures) {
      this.shown.add(name);
      this.number += 1;
    }
    const file = `${this.width.name}-${String(this.number).padStart(2, '0')}-${name.replace(/[^a-z0-9]+/gi, '-').toLowerCase()}`;
    for (const scheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme: scheme });
      const found = await page.evaluate(inspect);
      for (const what of found.faults) {
        if (/: contrast |not understood$/.test(what)) fault(`${what} (${scheme})`);
        else if (scheme === 'light') fault(what);
      }
      for (const what of found.remarks) note(`${what}${/contrast/.test(what) ? `, ${scheme}` : ''}`, where);
      if (scheme === 'light' && found.wide > found.width) fault(`scrolls sideways: ${found.wide} > ${found.width}`);
      if (scheme === 'light' && found.width > this.width.options.viewport.width) fault(`laid out ${found.width}px wide`);
      if (pictures) {
        await page.screenshot({ path: join(SHOTS, `${file}${scheme === 'dark' ? '-dark' : ''}.png`), fullPage: true });
      }
    }
    await page.emulateMedia({ colorScheme: 'light' });

    // WCAG 1.4.10: no sideways scrolling at 320px either.
    if (this.width.name === 'phone') {
      const size = page.viewportSize();
      await page.setViewportSize({ width: 320, height: 568 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      if (wide > 320) fault(`scrolls sideways at 320px: ${wide}`);
      await page.setViewportSize(size);
    }

    // The same page as assistive technology is told it.
    const session = await page.context().newCDPSession(page);
    try {
      const { nodes } = await session.send('Accessibility.getFullAXTree');
      const role = (node) => (node.role ? node.role.value : '');
      const label = (node) => (node.name ? String(node.name.value || '').trim() : '');
      const property = (node, key) => ((node.properties || []).find((p) => p.name === key) || { value: {} }).value.value;
      const live = nodes.filter((node) => !node.ignored);
      const top = live.filter((node) => role(node) === 'heading' && property(node, 'level') === 1);
      if (top.length !== 1) fault(`${top.length} headings of level 1 in the accessibility tree`);
      if (!live.some((node) => role(node) === 'main')) fault('no main landmark in the accessibility tree');
      for (const node of live) {
        if (['textbox', 'button', 'link', 'checkbox', 'combobox', 'heading'].includes(role(node)) && !label(node)) {
          fault(`a ${role(node)} without a name in the accessibility tree`);
        }
      }
      const alerts = await page.locator('[role=alert]').count();
      if (alerts > 0 && !live.some((node) => role(node) === 'alert')) fault('the alert is not in the accessibility tree');
      const buttons = live.filter((node) => role(node) === 'button').map(label);
      for (const name of new Set(buttons)) {
        if (buttons.filter((other) => other === name).length > 1) note(`several buttons are called "${name}"`, where);
      }
      const root = live.find((node) => role(node) === 'RootWebArea');
      if (!root || !label(root)) fault('the page has no name in the accessibility tree');
    } finally {
      await session.detach();
    }
  }

  async signIn(page, password, account = this.account) {
    await this.go(page, '/accounts/login/');
    await this.fill(page, { 'Email Address': account, Password: password });
    return this.press(page, 'Log In');
  }

  async signedIn(page, yes = true) {
    const probe = await page.context().request.get(`${BASE}/accounts/sessions/`, { maxRedirects: 0 });
    must((probe.status() === 200) === yes, yes ? 'not signed in' : 'still signed in');
  }

  landed(response, page) {
    // Where a sign-in ends is a setting; a page that is not there is a dead end for people.
    if (response && response.status() >= 400) {
      note(`a sign-in, sign-up or "Go on" ends on ${new URL(page.url()).pathname}, which answers ${response.status()}`, this.at('after signing in'));
    }
  }

  async run() {
    const page = await this.open();

    await this.step('home page', async () => {
      await this.go(page, '/');
      await this.state(page, 'home');
    });

    await this.step('page that is not there: 404', async () => {
      await this.go(page, '/no/such/page/', 404);
      await this.heading(page, 'Not Found');
      await this.state(page, 'not found');
    });

    await this.step('sign-up page', async () => {
      await this.go(page, '/accounts/signup/');
      await this.state(page, 'sign-up');
    });

    await this.step('sign-up with a wrong invite code: a message', async () => {
      await this.fill(page, {
        'Invite Code': 'not-the-code', 'Email Address': this.account, Password: this.password, 'Password again': this.password,
      });
      await this.press(page, 'Sign Up');
      await this.says(page, 'Your Invite Code is invalid.', '[role=alert]');
      must((await page.getByLabel('Email Address', { exact: true }).inputValue()) === this.account, 'the address was lost');
      must((await page.getByLabel('Password', { exact: true }).inputValue()) === '', 'the password came back in the page');
      await this.state(page, 'sign-up wrong code');
    });

    await this.step('sign-up with a weak password: every message', async () => {
      await this.go(page, '/accounts/signup/');
      await this.fill(page, {
        'Invite Code': INVITE, 'Email Address': '1234567@example.com', Password: '1234567', 'Password again': '1234567',
      });
      await this.press(page, 'Sign Up');
      for (const part of ['too similar', 'too short', 'too common', 'entirely numeric']) {
        await this.says(page, part, '[role=alert]');
      }
      await this.state(page, 'sign-up weak password');
    });

    await this.step('sign-up with two different passwords: a message', async () => {
      await this.go(page, '/accounts/signup/');
      await this.fill(page, {
        'Invite Code': INVITE, 'Email Address': this.account, Password: this.password, 'Password again': this.second,
      });
      await this.press(page, 'Sign Up');
      must((await page.locator('[role=alert] li, [role=alert]').count()) > 0, 'no message');
      await this.state(page, 'sign-up mismatch');
    });

    await this.step('sign-up', async () => {
      await this.go(page, '/accounts/signup/');
      await this.fill(page, {
        'Invite Code': INVITE, 'Email Address': this.account, Password: this.password, 'Password again': this.password,
      });
      const response = await this.press(page, 'Sign Up');
      await this.signedIn(page);
      this.landed(response, page);
    });

    let confirmation = '';
    await this.step('e-mail verification: the link in the mail', async () => {
      [confirmation] = await mail(this.account, /https?:\/\/\S+\/accounts\/verify_email_confirm\/[^\s"<]+/);
      await this.go(page, confirmation);
      if ((await page.getByRole('button').count()) > 0) {
        await this.state(page, 'e-mail confirm');
        await Promise.all([page.waitForNavigation(), page.getByRole('button').first().click()]);
      }
      await this.heading(page, 'E-mail confirmed');
      await this.state(page, 'e-mail confirmed');
    });

    await this.step('e-mail verification: the same link again, a broken one, and asking for one', async () => {
      await page.goto(confirmation);
      await this.state(page, 'e-mail link again');
      await page.goto(`${BASE}/accounts/verify_email_confirm/MQ/broken/`);
      await this.says(page, 'invalid');
      await this.state(page, 'e-mail link broken');
      await this.go(page, '/accounts/verify_email/');
      await this.state(page, 'e-mail ask');
      await this.go(page, '/accounts/verify_email_done/');
      await this.state(page, 'e-mail asked');
    });

    const other = await this.open();
    await this.step('sign-up with an address that has an account: answered', async () => {
      await this.go(other, '/accounts/signup/');
      await this.fill(other, {
        'Invite Code': INVITE, 'Email Address': this.account, Password: this.second, 'Password again': this.second,
      });
      await this.press(other, 'Sign Up');
      await this.signedIn(other, false);
      await this.state(other, 'sign-up again');
    });

    await this.step('a form whose cookie is gone: an error page', async () => {
      await this.go(other, '/accounts/login/');
      await other.context().clearCookies();
      await this.fill(other, { 'Email Address': this.account, Password: this.password });
      const response = await this.press(other, 'Log In');
      must(response.status() === 403, `answered ${response.status()}`);
      await this.state(other, 'form expired');
    });

    await this.step('sign-in page', async () => {
      await this.go(other, '/accounts/login/');
      await this.state(other, 'sign-in');
    });

    await this.step('sign-in with a wrong password: a message', async () => {
      await this.fill(other, { 'Email Address': this.account, Password: 'not-the-password' });
      await this.press(other, 'Log In');
      await this.says(other, 'Please enter a correct', '[role=alert]');
      must((await other.getByLabel('Email Address', { exact: true }).inputValue()) === this.account, 'the address was lost');
      await this.signedIn(other, false);
      await this.state(other, 'sign-in wrong password');
    });

    await this.step('sign-in', async () => {
      const response = await this.signIn(other, this.password);
      await this.signedIn(other);
      this.landed(response, other);
    });

    await this.step('sessions page: ends the other session', async () => {
      await this.go(page, '/accounts/sessions/');
      await this.says(page, '(this browser)');
      must((await page.locator('.list li').count()) >= 2, 'not two sessions');
      await this.state(page, 'sessions two');
      const row = page.locator('.list li').filter({ hasNotText: '(this browser)' }).first();
      await Promise.all([page.waitForNavigation(), row.getByRole('button').click()]);
      await this.signedIn(other, false);
      await this.signedIn(page);
      await this.go(page, '/accounts/sessions/');
      must((await page.locator('.list li').count()) === 1, 'the session is still listed');
      await this.state(page, 'sessions one');
    });

    await this.step('password change: wrong old password, then two different ones', async () => {
      await this.go(page, '/accounts/password_change/');
      await this.state(page, 'password change');
      await this.fill(page, {
        'Old password': 'not-the-password', 'New password': this.second, 'New password again': this.second,
      });
      await this.press(page, 'Change password');
      await this.says(page, 'Your old password was entered incorrectly.', '.error, .errors');
      await this.state(page, 'password change wrong old');
      await this.fill(page, { 'Old password': 'not-the-password', 'New password': '1234567', 'New password again': '7654321' });
      await this.press(page, 'Change password');
      await this.state(page, 'password change all wrong');
      await this.fill(page, { 'Old password': this.password, 'New password': this.second, 'New password again': this.third });
      await this.press(page, 'Change password');
      await this.says(page, 'match', '[role=alert]');
      await this.state(page, 'password change mismatch');
    });

    await this.step('password change', async () => {
      await this.fill(page, { 'Old password': this.password, 'New password': this.second, 'New password again': this.second });
      await this.press(page, 'Change password');
      await this.heading(page, 'Password changed');
      await this.signedIn(page);
      await this.state(page, 'password change done');
    });

    await this.step('password reset: asked for', async () => {
      await this.go(other, '/accounts/password_reset/');
      await this.state(other, 'password reset');
      await this.fill(other, { 'Email Address': this.account });
      await this.press(other, 'Send the link');
      await this.heading(other, 'Check your mail');
      await this.state(other, 'password reset asked');
    });

    let reset = '';
    await this.step('password reset: the link in the mail, two different passwords', async () => {
      [reset] = await mail(this.account, /https?:\/\/\S+\/accounts\/reset\/[^\s"<]+/);
      await this.go(other, reset);
      await this.state(other, 'password reset choose');
      const fields = other.locator('input[type=password]');
      await fields.nth(0).fill(this.third);
      await fields.nth(1).fill(this.second);
      await Promise.all([other.waitForNavigation(), other.getByRole('button').first().click()]);
      await this.says(other, 'match', '[role=alert]');
      await this.state(other, 'password reset mismatch');
    });

    await this.step('password reset, and sign-in with the new password only', async () => {
      const fields = other.locator('input[type=password]');
      await fields.nth(0).fill(this.third);
      await fields.nth(1).fill(this.third);
      await Promise.all([other.waitForNavigation(), other.getByRole('button').first().click()]);
      await this.heading(other, 'Password changed');
      await this.state(other, 'password reset done');
      await this.signIn(other, this.second);
      await this.signedIn(other, false);
      await this.signIn(other, this.third);
      await this.signedIn(other);
      await this.signedIn(page, false);
    });

    await this.step('password reset: the link does not work twice', async () => {
      await page.goto(reset);
      await this.says(page, 'invalid');
      await this.state(page, 'password reset used');
    });

    const coded = await this.open();
    await this.step('one-time code: asked for', async () => {
      await this.go(coded, '/accounts/login-otp/');
      await this.state(coded, 'code ask');
      await this.fill(coded, { 'Email Address': this.account });
      await this.press(coded, 'Send the code');
      await this.heading(coded, 'Enter your code');
      await this.says(coded, this.account);
      await this.state(coded, 'code enter');
    });

    await this.step('one-time code: a wrong one', async () => {
      await this.fill(coded, { 'Sign-in code': 'AAAA-AAAA' });
      await this.press(coded, 'Log In');
      await this.says(coded, 'incorrect', '[role=alert]');
      await this.signedIn(coded, false);
      await this.state(coded, 'code wrong');
    });

    await this.step('one-time code: the right one', async () => {
      const [, code] = await mail(this.account, /sign-in code is:\s+([A-Z0-9]{4}-?[A-Z0-9]{4})\b/);
      await this.fill(coded, { 'Sign-in code': code });
      const response = await this.press(coded, 'Log In');
      await this.signedIn(coded);
      this.landed(response, coded);
    });

    await this.step('authorization request of a client nobody knows: an error page', async () => {
      await this.go(coded, '/o/authorize/?response_type=code&client_id=nobody&redirect_uri=http%3A%2F%2F127.0.0.1%2Fcb', 400);
      await this.state(coded, 'unknown client');
    });

    if (CLIENT_ID) {
      const callback = `${this.app.origin}/cb`;
      const ask = (state) =>
        `/o/authorize/?${new URLSearchParams({
          response_type: 'code',
          client_id: CLIENT_ID,
          redirect_uri: callback,
          scope: 'openid email',
          state,
          code_challenge: createHash('sha256').update(`verifier-${RUN}-`.repeat(4)).digest('base64url'),
          code_challenge_method: 'S256',
        })}`;
      await this.step('consent page: Cancel goes back to the app with access_denied', async () => {
        await this.go(coded, ask('one'));
        await this.state(coded, 'consent');
        await this.press(coded, 'Cancel');
        const back = new URL(coded.url());
        must(back.origin === this.app.origin && back.pathname === '/cb', `ended at ${coded.url()}`);
        must(back.searchParams.get('error') === 'access_denied' && back.searchParams.get('state') === 'one', back.search);
      });
      await this.step('consent page: Authorize goes back to the app with a code', async () => {
        await this.go(coded, ask('two'));
        await this.press(coded, 'Authorize');
        const back = new URL(coded.url());
        must(back.origin === this.app.origin && back.pathname === '/cb', `ended at ${coded.url()}`);
        must(back.searchParams.get('code') && back.searchParams.get('state') === 'two', back.search);
        // The app redeems it, as apps do: an app has access once it holds a token.
        const token = await coded.context().request.post(`${BASE}/o/token/`, {
          form: {
            grant_type: 'authorization_code',
            code: back.searchParams.get('code'),
            redirect_uri: callback,
            client_id: CLIENT_ID,
            code_verifier: `verifier-${RUN}-`.repeat(4),
          },
        });
        must(token.status() === 200, `the code was answered with ${token.status()}`);
      });
      await this.step('consent while signed out: the sign-in page first, then the consent page', async () => {
        const fresh = await this.open();
        await this.go(fresh, `${ask('three')}&prompt=consent`);
        must(new URL(fresh.url()).pathname === '/accounts/login/', `at ${fresh.url()}`);
        await this.fill(fresh, { 'Email Address': this.account, Password: this.third });
        await this.press(fresh, 'Log In');
        must(new URL(fresh.url()).pathname === '/o/authorize/', `at ${fresh.url()}`);
        await this.says(fresh, 'Authorize');
      });
    } else {
      console.log(`skip  ${this.at('consent page: JHE_CLIENT_ID is not set')}`);
    }

    await this.step('apps with access', async () => {
      await this.go(coded, '/o/authorized_tokens/');
      await this.state(coded, 'apps with access');
      const rows = coded.locator('.list li');
      if ((await rows.count()) === 0) {
        must(!CLIENT_ID, 'the app that was authorized is not listed');
        return;
      }
      for (let left = await rows.count(); left > 0; left -= 1) {
        await Promise.all([coded.waitForNavigation(), rows.first().getByRole('button').click()]);
        if (coded.url() !== `${BASE}/o/authorized_tokens/`) {
          await this.state(coded, 'app remove');
          await Promise.all([coded.waitForNavigation(), coded.getByRole('button').first().click()]);
        }
        await this.go(coded, '/o/authorized_tokens/');
      }
      must((await rows.count()) === 0, 'an app is still listed');
      await this.state(coded, 'apps with access none');
    });

    await this.step('sign-out reached from another site: asks first', async () => {
      for (const path of ['/accounts/logout/', '/o/logout/']) {
        await coded.goto(`${this.app.origin}/link?to=${encodeURIComponent(path)}`);
        await Promise.all([coded.waitForNavigation(), coded.locator('#go').click()]);
        must(new URL(coded.url()).pathname === path, `at ${coded.url()}`);
        await this.heading(coded, 'Log out?');
        await this.signedIn(coded);
        await this.state(coded, path === '/o/logout/' ? 'log out provider' : 'log out');
      }
      await coded.goto(`${this.app.origin}/link?to=${encodeURIComponent('/accounts/logout/')}`);
      await Promise.all([coded.waitForNavigation(), coded.locator('#go').click()]);
      const response = await this.press(coded, 'Log Out');
      await this.signedIn(coded, false);
      must(response.status() === 200, `ended on ${response.status()}`);
    });

    // Once more with scripts: what only shows then (violations of the content
    // security policy raised by scripts or handlers) shows here.
    await this.step('every page opens with scripts switched on, without a console message', async () => {
      const scripted = await this.open(true);
      await scripted.addInitScript(() => {
        document.addEventListener('securitypolicyviolation', (event) => {
          console.error(`violates ${event.effectiveDirective}: ${event.blockedURI}`);
        });
      });
      const visit = async (path) => {
        await scripted.goto(BASE + path);
        await scripted.waitForLoadState('networkidle');
        const sideways = await scripted.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        must(sideways <= 0, `${path} scrolls sideways by ${sideways}px`);
      };
      for (const path of ['/', '/accounts/signup/', '/accounts/password_reset/', '/accounts/password_reset/done/', '/accounts/login-otp/', '/no/such/page/']) {
        await visit(path);
      }
      await this.signIn(scripted, this.third);
      await this.signedIn(scripted);
      for (const path of ['/accounts/sessions/', '/accounts/password_change/', '/accounts/password_change/done/', '/accounts/verify_email/', '/o/authorized_tokens/', '/o/authorize/?client_id=nobody', '/o/logout/']) {
        await visit(path);
      }
    });

    await this.close();
  }

  // What holds people back for a while; last, since it holds the walk back too.
  async flood() {
    const page = await this.open();
    const ask = async () => {
      await this.go(page, '/accounts/login-otp/');
      await this.fill(page, { 'Email Address': `flood-${this.account}` });
      return this.press(page, 'Send the code');
    };
    await this.step('one-time code: three wrong ones end it', async () => {
      await ask();
      for (let left = 5; left > 0 && (await page.getByLabel('Sign-in code').count()) > 0; left -= 1) {
        await this.fill(page, { 'Sign-in code': 'AAAA-AAAA' });
        await this.press(page, 'Log In');
      }
      await this.says(page, 'Too many incorrect attempts', '[role=alert]');
      await this.state(page, 'code used up');
    });
    await this.step('too many requests: an error page', async () => {
      let response = null;
      for (let left = 6; left > 0 && (!response || response.status() !== 429); left -= 1) response = await ask();
      must(response.status() === 429, `answered ${response.status()}`);
      must(Number(response.headers()['retry-after']) > 0, 'no Retry-After');
      await this.heading(page, 'Too many attempts');
      await this.state(page, 'too many');
    });
    await this.close();
  }
}

// ---------------------------------------------------------------- main

mkdirSync(SHOTS, { recursive: true });
const app = await startApp();
const root = typeof process.getuid === 'function' && process.getuid() === 0;
const browser = await chromium.launch({
  executablePath: CHROMIUM,
  headless: true,
  args: [
    ...(root ? ['--no-sandbox'] : []),
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
try {
  const walks = WIDTHS.map((width) => new Walk(browser, width, app));
  for (const walk of walks) await walk.run();
  for (const walk of walks) await walk.flood();
} finally {
  await browser.close();
  app.server.close();
}

for (const [what, places] of notes) {
  const list = [...places];
  const line = `${what} [${list.slice(0, 4).join('; ')}${list.length > 4 ? `; and ${list.length - 4} more` : ''}]`;
  if (STRICT) fail(line);
  else console.log(`note  ${line}`);
}
console.log(`${held} steps held, ${failures.length} failures, ${notes.size} notes`);
process.exit(failures.length > 0 ? 1 : 0);
