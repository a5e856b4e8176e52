# The Windows end of the connector `iis` (iis.yaml): put it on the host as C:\ProgramData\certwright\iis.ps1, where only administrators
# may write.  It is started over SSH with one word, and reads JSON from its standard input; no secret is ever on a command line.
#
#   see      which certificate the https binding shows, and what must be remembered to put it back
#   install  imports the PKCS #12 file into LocalMachine\My (its key cannot be exported again) and names it in the binding
#   undo     the binding as it was; the certificate that install brought is removed
#
# It ends with 0 and JSON on standard output, 3 where somebody changed the binding meanwhile (nothing was changed), or 1 with the reason
# on standard error.  Windows Server 2019 or later, for PKCS #12 with AES.
param([Parameter(Mandatory = $true)][ValidateSet('see', 'install', 'undo')][string]$Verb)

Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$LongestInput = 1MB

function Read-Wish {
    $reader = New-Object IO.StreamReader([Console]::OpenStandardInput(), (New-Object Text.UTF8Encoding($false)))
    $buffer = New-Object char[] $LongestInput
    $n = $reader.ReadBlock($buffer, 0, $buffer.Length)
    if ($n -eq $buffer.Length) { throw 'more is asked than can be' }
    return (New-Object string($buffer, 0, $n)) | ConvertFrom-Json
}

function Get-Sha256([byte[]]$bytes) {
    $sha = [Security.Cryptography.SHA256]::Create()
    try { return ([BitConverter]::ToString($sha.ComputeHash($bytes)) -replace '-', '').ToLowerInvariant() } finally { $sha.Dispose() }
}

function ConvertTo-Hex($bytes) {
    if ($null -eq $bytes) { return '' }
    return [BitConverter]::ToString([byte[]]$bytes) -replace '-', ''
}

function ConvertFrom-Hex([string]$text) {
    $bytes = New-Object byte[] ($text.Length / 2)
    for ($i = 0; $i -lt $bytes.Length; $i++) { $bytes[$i] = [Convert]::ToByte($text.Substring(2 * $i, 2), 16) }
    return , $bytes
}

function Open-Store([string]$name, [string]$how, [scriptblock]$body) {
    $store = New-Object Security.Cryptography.X509Certificates.X509Store($name, 'LocalMachine')
    $store.Open($how)
    try { & $body $store } finally { $store.Close() }
}

function Find-Site($manager, $wish) {
    $site = $manager.Sites | Where-Object { $_.Name -ceq $wish.site }
    if ($null -eq $site) { throw "IIS has no site named $($wish.site)" }
    return $site
}

function Find-Binding($site, $wish) {
    $information = "$($wish.address):$($wish.port):$($wish.name)"
    return $site.Bindings | Where-Object { $_.Protocol -eq 'https' -and $_.BindingInformation -eq $information } | Select-Object -First 1
}

# The certificate that a binding names; its fingerprint is '' where the store has none of that thumbprint.
function Get-State($binding) {
    $state = @{ exists = ''; thumbprint = ''; store = ''; fingerprint = '' }
    if ($null -eq $binding) { return $state }
    $state.exists = 'yes'
    $state.thumbprint = ConvertTo-Hex $binding.CertificateHash
    $state.store = [string]$binding.CertificateStoreName
    if ($state.thumbprint -eq '') { return $state }
    $where = $state.store
    if ($where -eq '') { $where = 'My' }
    Open-Store $where 'ReadOnly' {
        param($store)
        $found = $store.Certificates | Where-Object { $_.Thumbprint -eq $state.thumbprint } | Select-Object -First 1
        if ($null -ne $found) { $state.fingerprint = Get-Sha256 $found.RawData }
    }
    return $state
}

function Find-Certificate([string]$fingerprint) {
    $box = @{ found = $null }
    Open-Store 'My' 'ReadOnly' {
        param($store)
        $box.found = $store.Certificates | Where-Object { (Get-Sha256 $_.RawData) -eq $fingerprint } | Select-Object -First 1
    }
    return $box.found
}

# Leaf with its key to My, intermediates to CA; the root is not taken from here.  Returns the leaf's thumbprint.
function Import-Pfx($wish) {
    $there = Find-Certificate $wish.fingerprint
    if ($null -ne $there -and $there.HasPrivateKey) { return $there.Thumbprint }
    $flags = [Security.Cryptography.X509Certificates.X509KeyStorageFlags]'MachineKeySet, PersistKeySet'
    $all = New-Object Security.Cryptography.X509Certificates.X509Certificate2Collection
    $all.Import([Convert]::FromBase64String($wish.pkcs12), $wish.passphrase, $flags)
    $leaf = $all | Where-Object { $_.HasPrivateKey } | Select-Object -First 1
    if ($null -eq $leaf -or (Get-Sha256 $leaf.RawData) -ne $wish.fingerprint) { throw 'what came is not the certificate that was announced' }
    Open-Store 'My' 'ReadWrite' { param($store) $store.Add($leaf) }
    $others = $all | Where-Object { -not $_.HasPrivateKey -and $_.Subject -ne $_.Issuer }
    if ($null -ne $others) { Open-Store 'CA' 'ReadWrite' { param($store) foreach ($one in $others) { $store.Add($one) } } }
    return $leaf.Thumbprint
}

function Set-Binding($manager, $site, $binding, $wish, [string]$thumbprint, [string]$store) {
    $hash = ConvertFrom-Hex $thumbprint
    if ($null -eq $binding) {
        $flags = [Microsoft.Web.Administration.SslFlags]::Sni
        [void]$site.Bindings.Add("$($wish.address):$($wish.port):$($wish.name)", $hash, $store, $flags)
    } else {
        $binding.CertificateHash = $hash
        $binding.CertificateStoreName = $store
    }
    $manager.CommitChanges()
}

# Gone with its key, unless some site uses it.
function Remove-Ours([string]$fingerprint) {
    $certificate = Find-Certificate $fingerprint
    if ($null -eq $certificate) { return }
    $manager = New-Object Microsoft.Web.Administration.ServerManager
    try {
        foreach ($site in $manager.Sites) {
            foreach ($binding in $site.Bindings) {
                if ($binding.Protocol -eq 'https' -and (ConvertTo-Hex $binding.CertificateHash) -eq $certificate.Thumbprint) { return }
            }
        }
    } finally { $manager.Dispose() }
    Remove-Item -LiteralPath "Cert:\LocalMachine\My\$($certificate.Thumbprint)" -DeleteKey
}

function Invoke-Install($manager, $wish) {
    $site = Find-Site $manager $wish
    $binding = Find-Binding $site $wish
    $state = Get-State $binding
    if ($state.fingerprint -eq $wish.fingerprint) { return }
    if ($state.exists -ne $wish.before.exists -or $state.thumbprint -ne $wish.before.thumbprint) {
        [Console]::Error.WriteLine('the binding was changed by somebody else meanwhile')
        exit 3
    }
    $thumbprint = Import-Pfx $wish
    Set-Binding $manager $site $binding $wish $thumbprint 'My'
}

function Invoke-Undo($manager, $wish) {
    $site = Find-Site $manager $wish
    $binding = Find-Binding $site $wish
    $state = Get-State $binding
    if ($state.fingerprint -eq $wish.fingerprint) {
        if ($wish.before.exists -eq '') {
            $site.Bindings.Remove($binding)
            $manager.CommitChanges()
        } elseif ($wish.before.thumbprint -eq '') {
            [void]$binding.Methods['RemoveSslCertificate'].CreateInstance().Execute()
        } else {
            $store = $wish.before.store
            if ($store -eq '') { $store = 'My' }
            Set-Binding $manager $site $binding $wish $wish.before.thumbprint $store
        }
    }
    Remove-Ours $wish.fingerprint
}

try {
    Add-Type -Path "$env:windir\System32\inetsrv\Microsoft.Web.Administration.dll"
    $wish = Read-Wish
    $manager = New-Object Microsoft.Web.Administration.ServerManager
    try {
        switch ($Verb) {
            'install' { Invoke-Install $manager $wish }
            'undo' { Invoke-Undo $manager $wish }
        }
    } finally { $manager.Dispose() }
    # What is there now, read anew.
    $manager = New-Object Microsoft.Web.Administration.ServerManager
    try { $state = Get-State (Find-Binding (Find-Site $manager $wish) $wish) } finally { $manager.Dispose() }
    if ($Verb -eq 'install' -and $state.fingerprint -ne $wish.fingerprint) { throw 'the binding does not name the new certificate' }
    [Console]::Out.Write(($state | ConvertTo-Json -Compress))
    exit 0
} catch {
    [Console]::Error.WriteLine("$($_.Exception.Message) (line $($_.InvocationInfo.ScriptLineNumber) of iis.ps1)")
    exit 1
}
