// The page of viewer.py: shows recordings of bodies. THREE and Bodies stand above it.
// Units are those of the model: metres, seconds; z is up. One WebGL context serves all recordings,
// because browsers allow only a few.
"use strict";
(() => {
  const VIEW_ANGLE = 40; // degrees, vertical
  const AZIMUTH = (125 * Math.PI) / 180, ELEVATION = (-16 * Math.PI) / 180; // where the view begins
  const ZOOM_OUT = 6; // times the first distance, at most
  const SUN = new THREE.Vector3(0.45, 0.18, -1).normalize(); // direction of the light

  const find = (id) => document.getElementById(id);
  const recordings = JSON.parse(find("recordings").textContent);
  const canvas = find("canvas"), message = find("message"), slider = find("slider");

  const state = { recording: -1, time: 0, playing: false, speed: 1, follow: true };
  let renderer, controls, stage, ground, plain; // set by begin()
  let dirty = true; // something changed since the last picture
  const scene = new THREE.Scene();
  const camera = new THREE.PerspectiveCamera(VIEW_ANGLE, 1, 0.01, 1000);
  camera.up.set(0, 0, 1);
  const sun = new THREE.DirectionalLight("#fff6e8", 2.1);
  const head = new THREE.DirectionalLight("#ffffff", 0.9); // beside the eye: no side stays black
  const centre = new THREE.Vector3(), shift = new THREE.Vector3();

  // ---- Time ----------------------------------------------------------------------------------

  const current = () => recordings[state.recording];
  const duration = () => (current().frames - 1) / current().fps;
  // Without the hair, rounding would show the frame before the one that was asked for.
  const frame = () => Math.floor(state.time * current().fps + 1e-6);

  function seek(seconds) {
    state.time = Math.min(Math.max(seconds, 0), duration());
    dirty = true;
  }

  function play(on = true) {
    state.playing = on && duration() > 0;
    const button = find("play");
    button.classList.toggle("playing", state.playing);
    button.setAttribute("aria-label", state.playing ? "Pause" : "Play");
    dirty = true;
  }

  function step(frames) {
    play(false);
    seek((frame() + frames) / current().fps);
  }

  function setSpeed(speed) {
    state.speed = speed;
    find("speed").value = String(speed);
  }

  function advance(seconds) {
    if (!state.playing) return;
    const time = state.time + seconds * state.speed;
    state.time = time < duration() ? time : time % duration();
    dirty = true;
  }

  // ---- Camera, light, colours ----------------------------------------------------------------

  // Poses the bodies; how far the centre went.
  function pose() {
    shift.copy(centre);
    Bodies.pose(stage, state.time * current().fps, centre);
    return shift.subVectors(centre, shift);
  }

  function resetView() {
    follow(true);
    controls.enableDamping = false; // what still turns comes to rest at once
    controls.update();
    pose();
    controls.target.copy(centre);
    const distance = current().distance / Math.min(1, camera.aspect);
    camera.position.set(
      Math.cos(ELEVATION) * Math.cos(AZIMUTH), Math.cos(ELEVATION) * Math.sin(AZIMUTH),
      Math.sin(ELEVATION),
    ).multiplyScalar(-distance).add(centre);
    controls.minDistance = 0.15 * distance;
    controls.maxDistance = ZOOM_OUT * distance;
    controls.update();
    controls.enableDamping = true;
    dirty = true;
  }

  function follow(on) {
    state.follow = on;
    find("follow").setAttribute("aria-pressed", String(on));
  }

  // Turns by angles in radians and divides the distance by `zoom`, for the keyboard.
  function turn(right, up, zoom = 1) {
    const arm = camera.position.clone().sub(controls.target);
    const [distance, level] = [arm.length(), Math.hypot(arm.x, arm.y)];
    const azimuth = Math.atan2(arm.y, arm.x) + right;
    const height = Math.min(Math.max(Math.atan2(arm.z, level) + up, 0.02), 1.55);
    const wanted = distance / zoom;
    const far = Math.min(Math.max(wanted, controls.minDistance), controls.maxDistance);
    arm.set(
      Math.cos(height) * Math.cos(azimuth), Math.cos(height) * Math.sin(azimuth), Math.sin(height),
    );
    camera.position.copy(controls.target).addScaledVector(arm, far);
    dirty = true;
  }

  // What depends on where the camera and the bodies are now.
  function surround() {
    const distance = camera.position.distanceTo(controls.target), radius = current().radius;
    scene.fog.near = 2.5 * distance;
    scene.fog.far = 14 * distance;
    camera.near = distance / 100;
    camera.far = 20 * distance;
    camera.updateProjectionMatrix();
    sun.target.position.copy(centre);
    sun.position.copy(centre).addScaledVector(SUN, -6 * radius);
    head.position.copy(camera.position);
    head.target.position.copy(controls.target);
    for (const { place, mesh, open } of stage.endless) {
      const local = place.worldToLocal(controls.target.clone());
      const step = 2 * Bodies.TILE; // by whole pictures: the squares stay where they are
      mesh.position.set(
        open[0] ? step * Math.round(local.x / step) : 0,
        open[1] ? step * Math.round(local.y / step) : 0, 0,
      );
    }
  }

  function light() {
    sun.castShadow = true;
    sun.shadow.mapSize.set(2048, 2048);
    sun.shadow.radius = 3;
    const radius = 1.5 * current().radius, box = sun.shadow.camera;
    Object.assign(box, {
      left: -radius, right: radius, top: radius, bottom: -radius, near: radius, far: 8 * radius,
    });
    box.updateProjectionMatrix();
    sun.shadow.normalBias = radius / 150;
  }

  function checker() {
    const texture = new THREE.CanvasTexture(document.createElement("canvas"));
    texture.image.width = texture.image.height = 128;
    texture.wrapS = texture.wrapT = THREE.RepeatWrapping;
    texture.colorSpace = THREE.SRGBColorSpace;
    texture.anisotropy = renderer.capabilities.getMaxAnisotropy();
    return texture;
  }

  function paint(texture, first, second) {
    const pen = texture.image.getContext("2d");
    for (let i = 0; i < 4; i++) {
      pen.fillStyle = i === 0 || i === 3 ? first : second;
      pen.fillRect(64 * (i % 2), 64 * (i >> 1), 64, 64);
    }
    texture.needsUpdate = true;
  }

  // The colours of the style sheet, light or dark.
  function dress() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    scene.background = new THREE.Color(colour("--sky"));
    scene.fog.color.copy(scene.background);
    paint(ground, colour("--tile-1"), colour("--tile-2"));
    paint(plain, "#ffffff", "#e2e2e2");
    dirty = true;
  }

  // ---- The page ------------------------------------------------------------------------------

  function select(index) {
    if (!(index in recordings) || index === state.recording) return;
    if (stage) Bodies.dismantle(stage);
    Object.assign(state, { recording: index, time: 0 });
    const recording = current();
    stage = Bodies.build(recording, { ground, plain }, 20 * ZOOM_OUT * recording.distance);
    scene.add(stage.root);
    light();
    find("title").textContent = recording.title;
    find("caption").textContent = recording.caption;
    slider.max = recording.frames - 1;
    [...find("gallery").children].forEach((button, i) =>
      button.setAttribute("aria-current", String(i === index)));
    resetView();
    play(state.playing);
  }

  function gallery() {
    if (recordings.length < 2) return;
    const list = find("gallery");
    recordings.forEach(({ title, caption }, index) => {
      const button = document.createElement("button");
      button.type = "button";
      for (const [tag, text] of [["b", title], ["small", caption]]) {
        button.appendChild(document.createElement(tag)).textContent = text;
      }
      button.addEventListener("click", () => {
        if (index === state.recording) return play(!state.playing);
        select(index);
        history.replaceState(null, "", `#recording=${index}`); // the address leads here again
      });
      list.appendChild(button);
    });
    list.hidden = false;
    list.parentElement.classList.add("several");
  }

  // #recording=1&frame=10&pause&speed=0.5
  function address() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    select(Number(wanted.get("recording") ?? Math.max(state.recording, 0)));
    if (state.recording < 0) select(0); // a link to a recording that is not there
    if ([...find("speed").options].some((option) => option.value === wanted.get("speed"))) {
      setSpeed(Number(wanted.get("speed")));
    }
    if (wanted.has("frame")) seek(Number(wanted.get("frame")) / current().fps || 0);
    if (wanted.has("pause")) play(false);
  }

  const KEYS = {
    " ": () => play(!state.playing),
    ArrowLeft: (shift) => (shift ? turn(-0.12, 0) : step(-1)),
    ArrowRight: (shift) => (shift ? turn(0.12, 0) : step(1)),
    ArrowUp: (shift) => shift && turn(0, 0.08),
    ArrowDown: (shift) => shift && turn(0, -0.08),
    "+": () => turn(0, 0, 1.15),
    "=": () => turn(0, 0, 1.15), // + without shift on many keyboards
    "-": () => turn(0, 0, 1 / 1.15),
    f: () => follow(!state.follow),
    r: resetView,
  };

  function keyboard(event) {
    const { key, target } = event;
    if (event.ctrlKey || event.altKey || event.metaKey || !(key in KEYS)) return;
    // Controls keep the keys that they answer themselves.
    if (target.tagName === "SELECT" || (target === slider && key.startsWith("Arrow"))) return;
    if (target.tagName === "BUTTON" && key === " ") return;
    if (KEYS[key](event.shiftKey) !== false) event.preventDefault();
  }

  function listen() {
    find("play").addEventListener("click", () => play(!state.playing));
    find("follow").addEventListener("click", () => follow(!state.follow));
    find("reset").addEventListener("click", resetView);
    find("speed").addEventListener("change", (event) => setSpeed(Number(event.target.value)));
    slider.addEventListener("input", () => {
      play(false);
      seek(slider.value / current().fps);
    });
    controls.addEventListener("change", () => (dirty = true));
    document.addEventListener("keydown", keyboard);
    addEventListener("hashchange", address);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dress);
    canvas.addEventListener("webglcontextlost", () =>
      complain("The graphics driver dropped this page; reload it."));
    new ResizeObserver(resize).observe(canvas.parentElement);
  }

  function resize() {
    const { clientWidth: width, clientHeight: height } = canvas.parentElement;
    if (!width || !height) return;
    renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    renderer.setSize(width, height, false);
    camera.aspect = width / height;
    dirty = true;
  }

  let before = 0;
  function draw(now) {
    // After a while in another tab the film goes on, it does not leap.
    advance(Math.min((now - before) / 1000, 0.1));
    before = now;
    controls.update();
    if (dirty) {
      dirty = false;
      const moved = pose();
      if (state.follow) {
        controls.target.add(moved);
        camera.position.add(moved);
        controls.update();
      }
      surround();
      renderer.render(scene, camera);
      slider.value = frame();
      find("clock").textContent = `${state.time.toFixed(2)} / ${duration().toFixed(2)} s`;
    }
    requestAnimationFrame(draw);
  }

  function complain(text) {
    message.textContent = text;
    message.hidden = false;
  }

  function begin() {
    try {
      renderer = new THREE.WebGLRenderer({ canvas, antialias: true });
    } catch {
      complain("This page draws with WebGL 2, which this browser lacks or has switched off.");
      return;
    }
    renderer.shadowMap.enabled = true;
    renderer.shadowMap.type = THREE.PCFShadowMap;
    controls = new THREE.OrbitControls(camera, canvas);
    Object.assign(controls, { dampingFactor: 0.12, maxPolarAngle: 1.55 });
    scene.fog = new THREE.Fog("#ffffff");
    const sky = new THREE.HemisphereLight("#ffffff", "#a9b2bc", 1.6);
    scene.add(sky, sun, sun.target, head, head.target);
    [ground, plain] = [checker(), checker()];
    message.hidden = true;
    find("controls").hidden = false;
    gallery();
    dress();
    resize();
    listen();
    state.playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    address();
    requestAnimationFrame(draw);
  }

  // For scripts and tests; what it tells is what the page shows.
  window.viewer = {
    get frame() { return frame(); },
    get frames() { return current().frames; },
    get time() { return state.time; },
    get playing() { return state.playing; },
    get recording() { return state.recording; },
    get speed() { return state.speed; },
    get follow() { return state.follow; },
    get camera() { return camera.position.toArray(); },
    get target() { return controls.target.toArray(); },
    play, seek, select,
  };
  begin();
})();
