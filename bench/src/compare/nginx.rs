//! nginx with one worker process, doing what Portico does for a request and no more.

use std::path::Path;
use std::process::Command;

use super::lab::{Kind, OPPONENT_HOST, Site, Subject, version};
use crate::port::free_address;

pub fn start(program: &Path, site: &Site) -> anyhow::Result<Subject> {
    let address = free_address();
    let configuration = configuration(site, &address.to_string());
    let path = site.write("nginx.conf", &configuration)?;
    let mut command = Command::new(program);
    command.arg("-p").arg(&site.directory).arg("-c").arg(path).args(["-e", "stderr"]);
    let mut running = site.spawn(command)?;
    site.ready(&mut running, address, OPPONENT_HOST)?;
    Ok(Subject {
        kind: Kind::Nginx,
        running,
        address,
        host: OPPONENT_HOST.into(),
        version: version(program, "-v"),
    })
}

/// The upgraded location is its own, because an empty Connection field is what keeps plain
/// upstream connections open. Buffering stays on, as it is by default, but never on disk.
fn configuration(site: &Site, address: &str) -> String {
    format!(
        "user root;
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {{
    worker_connections 16384;
}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_timeout 60s;
    keepalive_requests 1000000000;
    tcp_nodelay on;
    upstream session {{
        server {upstream};
        keepalive 1024;
        keepalive_timeout 60s;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address} default_server;
        return 404;
    }}
    server {{
        listen {address};
        server_name {OPPONENT_HOST};
        proxy_http_version 1.1;
        proxy_max_temp_file_size 0;
        location / {{
            proxy_pass http://session;
            proxy_set_header Host $host;
            proxy_set_header Connection \"\";
            {forwarded}
        }}
        location /echo {{
            proxy_pass http://session;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection \"upgrade\";
            {forwarded}
        }}
    }}
}}
",
        upstream = site.upstream,
        forwarded = "proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto http;
            proxy_set_header X-Forwarded-Host $host;"
    )
}
